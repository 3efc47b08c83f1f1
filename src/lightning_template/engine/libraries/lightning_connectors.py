"""Private parts of Lightning that answer signals, look for checkpoints of SLURM jobs, and run a stage.

Imported only where `known_version()`. tests/engine/libraries holds what is assumed of the installed version.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector


class NoSignals(_SignalConnector):
    """Handles no signal. Lightning handles SIGTERM everywhere and SIGUSR1 on SLURM; no argument of it says not to."""

    def register_signal_handlers(self) -> None:
        """Do nothing."""


class NoSearch(_CheckpointConnector):
    """Loads the checkpoint that it is told to load.

    Lightning prefers one that it finds in `default_root_dir` on SLURM; no argument of it says not to.
    """

    _hpc_resume_path = None


def exchange_connectors(trainer: Trainer) -> None:
    """Leave signals, and checkpoints that nobody named, alone."""
    trainer._signal_connector.__class__ = NoSignals
    trainer._checkpoint_connector.__class__ = NoSearch


def run_stages_within(trainer: Trainer, context: Callable[[], AbstractContextManager[object]]) -> None:
    """Enter a context for each run of `fit`, `validate`, `test` or `predict`, sanity check included.

    Callbacks get no hook that lies around all of a stage.
    """

    def run_stage() -> Any:
        with context():
            return Trainer._run_stage(trainer)

    trainer._run_stage = run_stage  # type: ignore[method-assign]

"""Lightning's private parts that answer signals and look for checkpoints of SLURM jobs, and what takes their place."""

from functools import partial
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

from lightning_template.engine.loops.workers import stopping_with_workers


def take_over_signals(trainer: Trainer) -> None:
    """Leave signals to `StopSignals`, and have a trainer load no checkpoint that it was not told to load.

    On SLURM, Lightning answers SIGUSR1 with a checkpoint in the working directory, from which every later run there
    starts (Lightning issue 12369).
    """
    trainer._signal_connector.__class__ = _NoSignals
    trainer._checkpoint_connector.__class__ = _NoSearch
    trainer._run_stage = partial(_run_stage, trainer)  # type: ignore[method-assign]


def _run_stage(trainer: Trainer) -> Any:
    """Run what Lightning runs: a worker may die in the sanity check or an evaluation too."""
    with stopping_with_workers(trainer):
        return Trainer._run_stage(trainer)


class _NoSignals(_SignalConnector):
    """Handles no signal."""

    def register_signal_handlers(self) -> None:
        """Do nothing."""


class _NoSearch(_CheckpointConnector):
    """Loads what it is told to."""

    _hpc_resume_path = None

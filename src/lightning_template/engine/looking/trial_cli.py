"""Task, data and Trainer of a configuration, for a few steps that leave nothing behind."""

import copy
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Checkpoint,
    EarlyStopping,
    LearningRateFinder,
    ProgressBar,
    Timer,
)
from lightning.pytorch.loggers.logger import DummyLogger

from lightning_template.callbacks import Executions
from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.terminal import quieten
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.rehearsal import Rehearsal

NOT_ON_TRIAL = (BatchSizeFinder, Checkpoint, EarlyStopping, LearningRateFinder, ProgressBar, Timer)
"""Callbacks that write, print or end a run."""


class EnoughError(Exception):
    """All that was asked for is known: the fit ends."""


class TrialCLI(TemplateCLI):
    """Builds what `fit` builds, on one device, without what writes, and runs nothing.

    Args:
        command_line: What was asked for.
        folder: Folder that will be removed, for what a Trainer writes.
        callbacks: Callbacks of the trial, before those of the configuration.
        rehearses: Whether a batch is tried first, as `fit` does.
        in_executions: Whether an execution has several steps, as the configuration says.
    """

    def __init__(
        self,
        command_line: CommandLine,
        folder: str,
        callbacks: Sequence[Callback],
        rehearses: bool = False,
        in_executions: bool = False,
    ) -> None:
        self.in_executions = in_executions
        self.folder = folder
        self.trial_callbacks = [Rehearsal(self.contradictions)] * rehearses + [*callbacks]
        super().__init__(command_line)

    def trainer_options(self, config: Any, callbacks: list[Callback]) -> dict[str, Any]:
        """Return what the Trainer gets instead of its options."""
        given = config.callbacks if isinstance(config.callbacks, list) else [config.callbacks]
        given = [*given, *(part for part in callbacks if self.in_executions and isinstance(part, Executions))]
        devices = config.devices[:1] if isinstance(config.devices, list) else 1
        return {
            "callbacks": [*self.trial_callbacks, *_on_trial(callback for callback in given if callback)],
            "plugins": _with_memory(config.plugins),
            "logger": DummyLogger(),  # some modules and callbacks log by themselves
            "default_root_dir": self.folder,
            "devices": devices,
            "num_nodes": 1,
            "strategy": "auto",
            "check_val_every_n_epoch": 10**9,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "fast_dev_run": False,
            "limit_val_batches": 0,
            "log_every_n_steps": 1,
            "max_time": None,
            "num_sanity_val_steps": 0,
            "profiler": None,
            "val_check_interval": 1.0,
        }

    def run_subcommand(self, **arguments: Any) -> None:
        """Do nothing."""

    def train(self) -> None:
        """Train until a callback raises `EnoughError`.

        Raises:
            ValueError: If the user is mistaken in the configuration or the data.
        """
        _without_writers(self.model)
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule)
        except EnoughError:
            pass
        except Exception as error:
            self.explain(error)
            raise


@contextmanager
def trial(
    command_line: CommandLine, callbacks: Sequence[Callback], rehearses: bool = False, in_executions: bool = False
) -> Iterator[TrialCLI]:
    """Yield what a configuration builds, with a folder that is removed afterwards.

    Raises:
        ValueError: If the user is mistaken in the configuration or the data.
    """
    quieten()
    folders = tempfile.TemporaryDirectory(prefix="lightning-template-")
    with folders as folder, redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`max_epochs` was not set")  # the trial ends by itself
        warnings.filterwarnings("ignore", message=".*does not have many workers")  # `profile` measures what they give
        try:
            yield TrialCLI(command_line, folder, callbacks, rehearses, in_executions)
        except MisconfigurationException as error:
            raise ValueError(one_line(error)) from error


class CheckpointsInMemory(CheckpointIO):
    """Keeps checkpoints in memory: what Lightning's finders save and restore leaves no file, even if killed."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Keep a copy."""
        self.kept[str(path)] = copy.deepcopy(checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return a copy of what was kept."""
        kept: dict[str, Any] = copy.deepcopy(self.kept[str(path)])
        return kept

    def remove_checkpoint(self, path: Any) -> None:
        """Forget what was kept."""
        self.kept.pop(str(path), None)


def _with_memory(plugins: Any) -> list[Any]:
    given = plugins if isinstance(plugins, list) else [plugins] if plugins else []
    return [*(plugin for plugin in given if not isinstance(plugin, CheckpointIO)), CheckpointsInMemory()]


def _on_trial(callbacks: Iterator[Callback]) -> list[Callback]:
    return [callback for callback in callbacks if not isinstance(callback, NOT_ON_TRIAL)]


def _without_writers(module: LightningModule) -> None:
    """Leave out those of a module's own callbacks that write, print or end a run."""
    configure: Callable[[], Any] = module.configure_callbacks

    def configure_callbacks() -> list[Callback]:
        made = configure()
        return _on_trial(iter(made if isinstance(made, Sequence) else [made]))

    vars(module)["configure_callbacks"] = configure_callbacks

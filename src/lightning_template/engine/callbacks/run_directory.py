"""The directory of a run's files."""

import logging
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.engine.callbacks.endings import explain
from lightning_template.engine.callbacks.finite_loss import check_losses
from lightning_template.engine.callbacks.observer import Guard
from lightning_template.engine.callbacks.tensorboard import EventLogger
from lightning_template.engine.libraries.lightning_trainer import resumed_step
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.runs import directories as runs
from lightning_template.engine.runs.digests import dump_json, sign_text
from lightning_template.engine.runs.environment import describe_environment
from lightning_template.engine.runs.files import HeldFolder, refusal, write_text

_logger = logging.getLogger("lightning_template")


class RunDirectory(Callback):
    """Creates the run directory after the data were checked, and writes there what describes the run and its results.

    These are the given files, `environment.json`, `state.json`, TensorBoard's events and, at the end, `metrics.json`.

    Args:
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment.
        files: Content by name of files to write when training starts, such as the configuration.
        run: Existing run directory to work in, such as that of the checkpoint to evaluate; a new one if not given.
        tensorboard: Whether to log to TensorBoard there.
        marks: Entries of `state.json` by which others find the run.
    """

    def __init__(
        self,
        root: Path,
        experiment: str,
        files: Mapping[str, str],
        run: Path | None = None,
        tensorboard: bool = True,
        marks: Mapping[str, object] | None = None,
    ) -> None:
        self.root = root
        self.experiment = experiment
        self.files = files
        self.run = run
        self.tensorboard = tensorboard
        self.marks = marks or {}
        self._guard = Guard()
        self._entered = False
        self._refusal: str | None = None  # why an evaluation can write nothing
        self._resumed_step: int | None = None
        self._held: BaseFileLock | None = None
        self._folder: HeldFolder | None = None
        self.gone: FileNotFoundError | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Create or open the directory, now that data, checkpoint and optimizer are loaded."""
        self._enter(trainer)

    on_validation_start = on_test_start = on_predict_start = on_fit_start

    def _enter(self, trainer: Trainer) -> None:
        if self._entered or trainer.fast_dev_run:  # type: ignore[attr-defined]  # the Trainer's parts set it
            return
        with stop_signals.hold():  # otherwise a signal may leave half a directory, or one that says it is running
            if trainer.is_global_zero:
                self._open(is_fitting=trainer.state.fn == TrainerFn.FITTING)
            self.run = trainer.strategy.broadcast(self.run)
            assert self.run is not None
            self._entered = True
        profiler = trainer.profiler  # type: ignore[attr-defined]
        if profiler.dirpath in (None, trainer.default_root_dir):  # where Lightning puts it without a logger
            profiler.dirpath = self.run
        if self.tensorboard and not trainer.loggers and self._refusal is None:
            # `default_hp_metric` would fill the HPARAMS tab with -1 (Lightning issue 8175)
            trainer.logger = EventLogger(
                self.run, name="", version="", default_hp_metric=False, purge_step=self._resumed_step
            )

    def _open(self, is_fitting: bool) -> None:
        """Create the directory, or open the existing one, and write what describes the run.

        Raises:
            ValueError: If that cannot be written, or another process trains there.
        """
        run, is_new = self.run, self.run is None
        try:
            self.run = run or runs.create_run(self.root, self.experiment)
            if is_fitting:
                self._lock()
            elif not is_new:
                self._refusal = refusal(self.run)
            if is_new or is_fitting:
                for name, content in self.files.items():
                    write_text(self.run / name, sign_text(content) if name.endswith(".yaml") else content)
                described = self._guard("the description of the environment", describe_environment) or {}
                write_text(self.run / "environment.json", dump_json(described))
            if is_fitting:
                before = runs.read_json(self.run / runs.STATE_FILE)
                self._started = before.get("started") or datetime.now(UTC).isoformat(timespec="seconds")
                seconds = before.get("seconds")
                self._began = time.monotonic() - (seconds if isinstance(seconds, float) else 0.0)
                self._write_state("running", **self.marks)
        except OSError as error:
            if is_new and self.run is not None:
                self._unlock()
                shutil.rmtree(self.run, ignore_errors=True)
                self.run = None
            raise ValueError(f"cannot write into {run or self.root / runs.LOGS}: {error.strerror or error}") from error

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the step of the checkpoint: TensorBoard events after it are purged on resume."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._resumed_step = resumed_step(checkpoint)

    def _lock(self) -> None:
        """Lock the directory against training by another process, until this one ends or dies."""
        assert self.run is not None
        self._held = FileLock(self.run / runs.LOCK_FILE, timeout=1)  # `runs` holds it for an instant to test it
        try:
            self._held.acquire()
        except Timeout as error:
            raise ValueError(f"another process trains in {self.run}") from error
        self._folder = HeldFolder(self.run)
        for part in runs.unfinished_files(self.run):  # of a process that was killed
            part.unlink(missing_ok=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Unlock the directory."""
        self._unlock()

    def _unlock(self) -> None:
        if self._folder is not None:
            self._folder.close()
        if self._held is not None:
            self._held.release()

    def place(self) -> Path | None:
        """Return the run directory, None before there is one.

        Raises:
            FileNotFoundError: If it is no longer the one in which training began. Nothing is written there then: a
                new directory of its name would hold a part of a run.
        """
        if self._folder is not None:
            self._folder.check()
        return self.run

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the traceback of a failed run and tell where it is, or how to resume a stopped one."""
        if not self._entered or self.run is None or not trainer.is_global_zero:
            self._unlock()
            return
        try:
            self.place()
        except FileNotFoundError as error:
            self.gone = error
            trainer.loggers = []  # they would write into another directory of this name
            self._unlock()
            return
        is_fitting, is_error = trainer.state.fn == TrainerFn.FITTING, isinstance(exception, Exception)
        if is_fitting:
            state, reason = ("failed", one_line(exception)) if is_error else ("interrupted", None)
            with suppress(OSError):  # a full disk may be what failed the run
                self._write_state(state, trainer, error=reason)
        self._unlock()
        explain(exception, self.run, keep=self._refusal is None, can_go_on=is_fitting)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write how far the run is.

        Raises:
            FileNotFoundError: If the directory is gone.
        """
        self.place()
        self._guard(runs.STATE_FILE, self._write_state, "running", trainer, epochs=trainer.current_epoch + 1)

    def _write_state(self, state: str, trainer: Trainer | None = None, /, **more: object) -> None:
        if self.run is None or (trainer and not (self._entered and trainer.is_global_zero)):
            return
        path = self.run / runs.STATE_FILE
        entries = {"state": state, "started": self._started, "seconds": round(time.monotonic() - self._began, 1)}
        if trainer:
            entries |= {"epochs": trainer.current_epoch, "steps": trainer.global_step}
        runs.update_json(path, {"error": None, **entries, **more})

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final metrics of training and validation."""
        self._write_metrics(trainer, "final")
        if self.run is not None:
            self._write_state("finished", trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics of a validation that is not part of training.

        Raises:
            FloatingPointError: If a loss is not finite.
        """
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write_metrics(trainer, "validate")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics of a test.

        Raises:
            FloatingPointError: If a loss is not finite.
        """
        self._write_metrics(trainer, "test")

    def _write_metrics(self, trainer: Trainer, entry: str) -> None:
        if entry != "final":
            check_losses(trainer.callback_metrics)
        if self.place() is not None and trainer.is_global_zero:
            metrics: dict[str, object] = {name: value.item() for name, value in trainer.callback_metrics.items()}
            if trainer.ckpt_path:
                metrics["checkpoint"] = str(trainer.ckpt_path)
            assert self.run is not None
            if self._refusal is None:
                runs.update_json(self.run / runs.METRICS_FILE, {entry: metrics})
            else:
                _logger.warning("%s is not written: %s", self.run / runs.METRICS_FILE, self._refusal)


def run_directory(trainer: Trainer) -> Path:
    """Return where a trainer's callbacks write: its `RunDirectory`'s directory, otherwise its log directory.

    Raises:
        FileNotFoundError: If that was deleted, moved or replaced since training began.
    """
    directory = find_run_directory(trainer)
    return (directory and directory.place()) or Path(trainer.log_dir or trainer.default_root_dir)


def find_run_directory(trainer: Trainer) -> RunDirectory | None:
    """Return the callback that makes and owns the run directory, if a trainer has one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
    return next((callback for callback in callbacks if isinstance(callback, RunDirectory)), None)

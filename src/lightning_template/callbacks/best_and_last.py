"""Keeps the best and the last checkpoint of a run."""

import math
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.callbacks.run_directory import run_directory
from lightning_template.digests import is_whole
from lightning_template.files import replacing
from lightning_template.loops import Boundary, resumable_loop
from lightning_template.runs import METRICS_FILE, update_json


class BestAndLast(Boundary, Checkpoint):
    """Writes `checkpoints/last.ckpt` after each epoch or validation and `best.ckpt` when `monitor` improved.

    Both are written at boundaries, so that a run that goes on from them ends as one that was never stopped. The last
    checkpoint but one is kept as `previous.ckpt`. Without validation there is no `best.ckpt`.

    Lightning's `ModelCheckpoint` writes `last.ckpt` only where it also wrote a best one (Lightning issue 19189).

    Args:
        monitor: Logged quantity that decides which checkpoint is best; the task's `monitor` if not given.
        mode: Whether its smallest or its largest value is best; the task's `mode` if not given.
        every_n_steps: Number of optimizer steps after which `last.ckpt` is written too, if at all.
        every_minutes: Minutes after which `last.ckpt` is written too, if at all: the most that a kill can lose.

    Raises:
        ValueError: If an interval is not positive.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        every_n_steps: int | None = None,
        every_minutes: float | None = 10,
    ) -> None:
        for name, interval in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes)):
            if interval is not None and interval <= 0:
                raise ValueError(f"`{name}` must be greater than 0, got {interval}")
        self.monitor = monitor
        self.mode = mode
        self.every_n_steps = every_n_steps
        self.every_minutes = every_minutes
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self._validated_epoch: int | None = None  # of a validation that no checkpoint followed yet
        self._saved_at = time.monotonic()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take `monitor` and `mode` from the task where they were not given."""
        self.monitor = self.monitor or getattr(pl_module, "monitor", "val/loss")
        self.mode = self.mode or getattr(pl_module, "mode", "min")
        if stage == "fit":
            resumable_loop(trainer)
            self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and when it was reached."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that there is something to compare."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._validated_epoch = trainer.current_epoch

    def on_boundary(self, trainer: Trainer, pl_module: LightningModule, epoch_ended: bool, stops: bool) -> None:
        """Save what is due.

        Raises:
            FloatingPointError: If a weight is not finite: no checkpoint takes the place of a good one then.
        """
        validated = self._validated_epoch is not None
        if not (epoch_ended or stops or validated or self._interval_is_over(trainer)):
            return
        _check_finite(pl_module)
        folder = run_directory(trainer) / "checkpoints"
        if validated:
            if self._improved(trainer):
                trainer.save_checkpoint(folder / "best.ckpt")
                if trainer.is_global_zero:
                    entry = {"monitor": self.monitor, "mode": self.mode, **self.state_dict()}
                    update_json(folder.parent / METRICS_FILE, {"best": entry})
            self._validated_epoch = None
        if trainer.is_global_zero:
            _keep(folder / "last.ckpt", folder / "previous.ckpt")
        trainer.save_checkpoint(folder / "last.ckpt")
        self._saved_at = time.monotonic()

    def _interval_is_over(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            return True
        if self.every_minutes is None:
            return False
        is_over = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return trainer.strategy.reduce_boolean_decision(is_over, all=False)  # ranks have clocks of their own

    def _improved(self, trainer: Trainer) -> bool:
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(sorted(trainer.callback_metrics))
            raise ValueError(f"`monitor` must be one of the logged quantities ({logged}), got {self.monitor}")
        score = trainer.callback_metrics[self.monitor].item()
        improved = math.isfinite(score) and (self.best_score is None or self._is_better(score, self.best_score))
        if trainer.strategy.reduce_boolean_decision(improved):  # all ranks save, or none
            self.best_score, self.best_epoch, self.best_step = score, self._validated_epoch, trainer.global_step
            return True
        return False

    def _is_better(self, score: float, other: float) -> bool:
        return score > other if self.mode == "max" else score < other


def _check_finite(pl_module: LightningModule) -> None:
    for name, weight in pl_module.named_parameters():
        if not torch.isfinite(weight).all():
            raise FloatingPointError(
                f"{name} is not finite: lower the learning rate; the checkpoints before it are as they were"
            )


def _keep(path: Path, previous: Path) -> None:
    """Give a checkpoint a second name, so that it stays when another takes its place; leave out a damaged one."""
    if not path.is_file() or not is_whole(path):
        return
    if previous.is_file() and previous.samefile(path):  # killed here once; a rename between the two does nothing
        return
    with replacing(previous) as part:
        try:
            part.hardlink_to(path)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, part)

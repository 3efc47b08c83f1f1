"""Saves the best and the last checkpoint of a run."""

import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.engine.callbacks.run_directory import run_directory
from lightning_template.engine.callbacks.watched import AUTO, Mode, choose, is_better, mode_of, why_none
from lightning_template.engine.libraries.lightning_trainer import logged_in_validation
from lightning_template.engine.loops import Boundary, make_resumable
from lightning_template.engine.runs.digests import is_whole
from lightning_template.engine.runs.directories import METRICS_FILE, update_json
from lightning_template.engine.runs.files import replacing

_logger = logging.getLogger("lightning_template")


class BestAndLast(Boundary, Checkpoint):
    """Writes `checkpoints/last.ckpt` after each epoch or validation and `best.ckpt` when `monitor` improved.

    Both are saved at boundaries, from which resume is exact. The one before `last.ckpt` stays as `previous.ckpt`.
    Without validation, or a quantity to watch, there is no `best.ckpt`.

    Lightning's `ModelCheckpoint` writes `last.ckpt` only where it also wrote a best one (Lightning issue 19189).

    Args:
        monitor: Logged quantity that decides which checkpoint is best; null for none. If not given, it is the task's
            `monitor`, or else the validation's loss or only quantity.
        mode: Whether its smallest or its largest value is best; if not given, as the task or the name says.
        every_n_steps: Number of optimizer steps after which `last.ckpt` is written too, if at all.
        every_minutes: Minutes after which `last.ckpt` is written too, if at all: the most that a kill can lose.

    Raises:
        ValueError: If an interval is not positive.
    """

    _saved_at: float

    def __init__(
        self,
        monitor: str | None = AUTO,
        mode: Mode | None = None,
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
        self._validated_epoch: int | None = None  # of a validation without a checkpoint so far
        self._announced = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take `monitor` and `mode` from the task where they were not given.

        Raises:
            ValueError: If nothing tells whether `monitor` is to be low or high.
        """
        if stage != "fit":
            return
        self._take_from(pl_module)
        make_resumable(trainer)
        self._saved_at = time.monotonic()

    def _take_from(self, pl_module: LightningModule) -> None:
        of_task, mode = getattr(pl_module, "monitor", AUTO), getattr(pl_module, "mode", None)
        if self.monitor == AUTO and isinstance(
            of_task, str | None
        ):  # in another module the name may mean something else
            self.monitor = of_task
        if self.monitor in (None, AUTO) or self.mode:
            return
        self.mode = mode if self.monitor == of_task and mode in ("min", "max") else mode_of(self.monitor)
        if self.mode is None:
            raise ValueError(f"`mode` must be given, min or max: the name of `monitor` {self.monitor} does not tell")

    def choose_monitor(self, trainer: Trainer) -> None:
        """Choose the quantity to watch after a validation, if none is given."""
        if self.monitor != AUTO:
            return
        names = logged_in_validation(trainer)
        chosen = choose(names, self.mode)
        if chosen:
            self.monitor, self.mode = chosen
        if trainer.is_global_zero and (chosen or not self._announced):
            self._announced = True
            line = f"best.ckpt is that of the {self.mode}imum {self.monitor}" if chosen else why_none(names)
            _logger.info("%s", line)

    def state_dict(self) -> dict[str, Any]:
        """Return what is watched, the best score so far and when it was reached."""
        names = ("monitor", "mode", "best_score", "best_epoch", "best_step")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, unless something else is watched now."""
        if self.monitor == AUTO or (self.monitor, self.mode) == (state_dict["monitor"], state_dict["mode"]):
            self.__dict__.update(state_dict)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have the next boundary compare the score."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._validated_epoch = trainer.current_epoch
            self.choose_monitor(trainer)

    def on_boundary(self, trainer: Trainer, pl_module: LightningModule, epoch_ended: bool, stops: bool) -> None:
        """Save what is due.

        Raises:
            FloatingPointError: If a weight is not finite: no checkpoint takes the place of a good one then.
            ValueError: If the validation did not log `monitor`.
        """
        validated = self._validated_epoch is not None
        if not (epoch_ended or stops or validated or self._interval_is_over(trainer)):
            return
        _check_finite(pl_module)
        folder = run_directory(trainer) / "checkpoints"
        if validated:
            if self._improved(trainer):
                trainer.save_checkpoint(folder / "best.ckpt", weights_only=False)
                if trainer.is_global_zero:
                    update_json(folder.parent / METRICS_FILE, {"best": self.state_dict()})
            self._validated_epoch = None
        if trainer.is_global_zero:
            _save_previous(folder / "last.ckpt", folder / "previous.ckpt")
        trainer.save_checkpoint(folder / "last.ckpt", weights_only=False)
        self._saved_at = time.monotonic()
        if validated:
            self._check_monitor(trainer)

    def _interval_is_over(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            return True
        if self.every_minutes is None:
            return False
        is_over = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return trainer.strategy.reduce_boolean_decision(is_over, all=False)  # the clocks of ranks differ

    def _check_monitor(self, trainer: Trainer) -> None:
        if self.monitor not in (None, AUTO, *trainer.callback_metrics):
            logged = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise ValueError(f"`monitor` must be one of the logged quantities ({logged}), got {self.monitor}")

    def _improved(self, trainer: Trainer) -> bool:
        if self.monitor not in trainer.callback_metrics:
            return False
        score = trainer.callback_metrics[self.monitor].item()
        improved = math.isfinite(score) and (self.best_score is None or is_better(score, self.best_score, self.mode))
        if trainer.strategy.reduce_boolean_decision(improved):  # all ranks save, or none
            self.best_score, self.best_epoch, self.best_step = score, self._validated_epoch, trainer.global_step
            return True
        return False


def _check_finite(pl_module: LightningModule) -> None:
    for name, weight in pl_module.named_parameters():
        if not torch.isfinite(weight).all():
            raise FloatingPointError(
                f"{name} is not finite: lower the learning rate; the checkpoints before it are as they were"
            )


def _save_previous(path: Path, previous: Path) -> None:
    """Give a checkpoint a second name before another replaces it; skip a damaged one."""
    if not path.is_file() or not is_whole(path):
        return
    with replacing(previous) as part:
        try:
            part.hardlink_to(path)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, part)

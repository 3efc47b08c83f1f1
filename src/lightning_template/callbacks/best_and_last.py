"""Keeps the best and the last checkpoint of a run."""

import math
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.callbacks.run_directory import run_directory
from lightning_template.runs import update_metrics


class BestAndLast(Checkpoint):
    """Writes `checkpoints/last.ckpt` after each epoch or validation and `best.ckpt` when `monitor` improved.

    Lightning's `ModelCheckpoint` writes `last.ckpt` only where it also wrote a best one (Lightning issue 19189).
    Without validation there is no `best.ckpt`.

    Args:
        monitor: Logged quantity that decides which checkpoint is best; the task's `monitor` if not given.
        mode: Whether its smallest or its largest value is best; the task's `mode` if not given.
    """

    def __init__(self, monitor: str | None = None, mode: Literal["min", "max"] | None = None) -> None:
        self.monitor = monitor
        self.mode = mode
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self._validated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take `monitor` and `mode` from the task where they were not given."""
        self.monitor = self.monitor or getattr(pl_module, "monitor", "val/loss")
        self.mode = self.mode or getattr(pl_module, "mode", "min")

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and when it was reached."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation in the middle of an epoch; one at its end waits for the epoch's other metrics."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        self._validated = True
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after an epoch."""
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        folder = run_directory(trainer) / "checkpoints"
        if self._validated:
            self._validated = False
            if self._improved(trainer):
                trainer.save_checkpoint(folder / "best.ckpt")
                if trainer.is_global_zero:
                    entry = {"monitor": self.monitor, "mode": self.mode, **self.state_dict()}
                    update_metrics(folder.parent, {"best": entry})
        trainer.save_checkpoint(folder / "last.ckpt")

    def _improved(self, trainer: Trainer) -> bool:
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(sorted(trainer.callback_metrics))
            raise ValueError(f"`monitor` must be one of the logged quantities ({logged}), got {self.monitor}")
        score = trainer.callback_metrics[self.monitor].item()
        improved = not math.isnan(score) and (self.best_score is None or self._is_better(score, self.best_score))
        if trainer.strategy.reduce_boolean_decision(improved):  # all ranks save, or none
            self.best_score, self.best_epoch, self.best_step = score, trainer.current_epoch, trainer.global_step
            return True
        return False

    def _is_better(self, score: float, other: float) -> bool:
        return score > other if self.mode == "max" else score < other

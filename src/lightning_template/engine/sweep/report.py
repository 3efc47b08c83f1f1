"""Callback that reads a trial's objectives and asks after each epoch whether to go on."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from lightning_template.engine.callbacks.watched import is_better
from lightning_template.engine.sweep.plan import Objective


class Report(Checkpoint):
    """Keeps the objectives at the epoch or validation in which the first of them was best.

    Lightning calls checkpoints after the module's hooks, in which that may log. This one writes no file.

    Args:
        objectives: Names and modes.
        is_pruned: Takes an epoch and the first objective after it, and tells whether the trial is to end.
    """

    def __init__(self, objectives: Sequence[Objective], is_pruned: Callable[[int, float], bool] | None = None) -> None:
        self.objectives = objectives
        self.values: list[float] | None = None
        self.logged: list[str] = []
        self.pruned = False
        self._is_pruned = is_pruned

    def state_dict(self) -> dict[str, Any]:
        """Return the objectives so far."""
        return {"values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.values = state_dict["values"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what the validation logged."""
        if not trainer.sanity_checking:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what the epoch logged, and end the run if the trial is pruned."""
        first = self._look(trainer)
        if self._is_pruned is not None and math.isfinite(first) and self._is_pruned(trainer.current_epoch, first):
            self.pruned = trainer.should_stop = True

    def _look(self, trainer: Trainer) -> float:
        """Return the first objective; NaN where it is not logged."""
        metrics = trainer.callback_metrics
        self.logged = sorted(metrics)
        found = [metrics[name].item() if name in metrics else math.nan for name, _ in self.objectives]
        if all(map(math.isfinite, found)) and (
            self.values is None or is_better(found[0], self.values[0], self.objectives[0].mode)
        ):
            self.values = found
        return found[0]

    def result(self) -> list[float]:
        """Return the objectives of the run.

        Raises:
            ValueError: If they were never logged, or never finite.
        """
        if self.values is None:
            names = ", ".join(name for name, _ in self.objectives)
            raise ValueError(f"the objective {names} was never a number; logged: {', '.join(self.logged) or 'nothing'}")
        return self.values

"""Moments at which a run can be stopped and resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_template.engine.libraries.lightning_trainer import known_version
from lightning_template.engine.process.errors import Stopped, after_step


class Boundary(Callback):
    """A callback that acts where a run can be stopped and resumed, such as to save a checkpoint."""

    every_n_steps: int | None = None
    """Number of optimizer steps after which there must be a boundary."""

    def on_boundary(self, trainer: Trainer, pl_module: LightningModule, epoch_ended: bool, stops: bool) -> None:
        """Do what is due between two steps.

        Args:
            trainer: Trainer that trains.
            pl_module: Module that it trains.
            epoch_ended: Whether an epoch is over, with all hooks and schedules; otherwise it goes on.
            stops: Whether the run stops here because it got a signal.
        """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Act here where Lightning's version is unknown: its own loops have no boundaries."""
        if not known_version():
            self.on_boundary(trainer, pl_module, epoch_ended=True, stops=False)


class SavedStep:
    """A loop that knows how far its last checkpoint goes that was written at a boundary."""

    trainer: Any
    saved_step: int | None = None
    """Number of optimizer steps in that checkpoint."""

    @contextmanager
    def tells_saved_step(self) -> Iterator[None]:
        """Have a stop between two boundaries name the step, if none was made since the first of them."""
        try:
            yield
        except Stopped as stopped:
            step = self.trainer.global_step
            if stopped.step is None and step == self.saved_step and self.trainer.is_global_zero:
                stopped.message += after_step(step)
            raise

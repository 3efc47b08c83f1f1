"""A progress bar that costs training next to nothing."""

import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

SECONDS = 0.25
"""Time from one redraw to the next."""


class ClockedProgressBar(TQDMProgressBar):
    """Redraws four times a second, where Lightning's bars redraw after every batch or from a thread of their own."""

    _next_redraw = 0.0

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if current != total and now < self._next_redraw:
            return False
        self._next_redraw = now + SECONDS
        return super()._should_update(current, total)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar; where a run goes on within an epoch, Lightning starts no bar for the rest of it."""
        super().on_train_start(trainer, pl_module)
        if trainer.fit_loop.restarted_mid_epoch:
            self.on_train_epoch_start(trainer, pl_module)
            bar = self.train_progress_bar
            bar.n = bar.initial = trainer.fit_loop.epoch_loop.batch_progress.current.ready

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the bar's line: what is said of the exception comes on a line of its own."""
        if self._train_progress_bar is not None:
            self._train_progress_bar.close()

"""A progress bar that is redrawn by the clock, at little cost."""

import io
import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn
from tqdm import tqdm

from lightning_template.engine.callbacks.observer import Observer

SECONDS = 0.25
"""Time from one redraw to the next."""
SECONDS_OF_LINES = 30.0
"""Time from one line to the next, where the output is no terminal."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
LINE = "{desc}: {percentage:.0f} %, {elapsed} elapsed, {remaining} left, {rate_fmt}{postfix}"
WITHOUT_END = "{desc}: {n_fmt} batches, {elapsed} elapsed, {rate_fmt}{postfix}"


class ClockedProgressBar(Observer, ProgressBar):
    """Shows how far the run is, with losses, the quantity that is watched, speed and remaining time.

    A terminal gets a bar that is redrawn four times a second. Lightning redraws its bars after every batch, or from a
    thread. A log file gets a line every half a minute. A run without an end has no remaining time.
    """

    _next: float  # time of the next redraw

    def __init__(self) -> None:
        super().__init__()
        self.is_enabled = True  # `LightningModule.print` asks for it
        self._bar: tqdm[Any] | None = None

    def enable(self) -> None:
        """Show the bar from the next stage on."""
        self.is_enabled = True

    def disable(self) -> None:
        """Show no bar from the next stage on."""
        self.is_enabled = False

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """Print above the bar, as `print` does."""
        self.guard("print", tqdm.write, sep.join(map(str, args)), **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar for all epochs; that of a resumed run starts where it was."""
        totals: list[float] = [trainer.max_steps * trainer.accumulate_grad_batches] if trainer.max_steps > 0 else []
        if trainer.max_epochs and trainer.max_epochs > 0:
            totals.append(trainer.max_epochs * trainer.num_training_batches)
        self._start("epoch", min(totals, default=math.inf), trainer.fit_loop.epoch_loop.batch_progress.total.ready)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show how far training is."""
        self._show_epoch(trainer, pl_module)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show how far validation is."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._show_stage()
        elif not trainer.sanity_checking:
            self._show_epoch(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the end."""
        self._show_epoch(trainer, pl_module, is_last=True)
        self._close()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar, unless that of training goes on."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._start("validation", sum(trainer.num_val_batches))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar."""
        self._start("test", sum(trainer.num_test_batches))

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show how far the test is."""
        self._show_stage()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        self._close()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a bar."""
        self._start("prediction", sum(trainer.num_predict_batches))

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show how far prediction is."""
        self._show_stage()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the bar's line, so that the exception's message begins a new one."""
        self._close()

    def _start(self, what: str, total: float, done: int = 0) -> None:
        if not self.is_enabled:
            return
        is_terminal, has_end = sys.stdout.isatty(), not math.isinf(total)
        self._bar = tqdm(
            desc=what,
            total=int(total) if has_end else None,
            initial=done,
            unit=" batches",
            dynamic_ncols=True,
            file=sys.stdout if is_terminal else io.StringIO(),
            bar_format=(BAR if is_terminal else LINE) if has_end else WITHOUT_END,
        )
        self._next = time.monotonic() + self._seconds()

    def _seconds(self) -> float:
        return SECONDS if sys.stdout.isatty() else SECONDS_OF_LINES

    def _is_due(self) -> bool:
        return self._bar is not None and time.monotonic() >= self._next

    def _show_stage(self) -> None:
        if self._bar is not None:
            self._bar.n += 1
        if self._is_due():
            self._show()

    def _show_epoch(self, trainer: Trainer, pl_module: LightningModule, is_last: bool = False) -> None:
        if self._bar is None or not (is_last or self._is_due()):
            return
        epoch = trainer.current_epoch if is_last else trainer.current_epoch + 1
        of_all = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        validates = ", validation" if trainer.validating else ""
        self._bar.set_description_str(f"epoch {epoch}{of_all}{validates}", refresh=False)
        self._bar.n = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        watched = getattr(pl_module, "monitor", None)
        values = dict(trainer.progress_bar_metrics)
        values |= {name: value.item() for name, value in trainer.callback_metrics.items() if name == watched}
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
        self._show()

    def _show(self) -> None:
        assert self._bar is not None
        if sys.stdout.isatty():
            self._bar.refresh()
        else:
            sys.stdout.write(f"{self._bar}\n")
            sys.stdout.flush()
        self._next = time.monotonic() + self._seconds()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

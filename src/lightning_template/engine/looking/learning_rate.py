"""The learning rate range test: Lightning's, with the groups of an optimizer in proportion."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateFinder
from torch import Tensor
from torch.optim import Optimizer

from lightning_template.engine.looking.trial_cli import EnoughError
from lightning_template.engine.tasks import TaskModule

MIN_RATE, MAX_RATE, NUM_STEPS = 1e-6, 10.0, 100
WIDTH = 4.0
"""Standard deviation, in steps, of the weights with which neighbouring losses are averaged."""
NUM_FIRST = 5
"""Number of losses at the start from which a loss has to fall."""


@dataclass
class RangeTest:
    """What a range test found.

    Lightning's own smoothing lags by dozens of steps, and its `suggestion` divides by the difference of the rates
    themselves. There the noise of the smallest rates, which are nearest to one another, outweighs every other slope.

    Attributes:
        present: Rate that the configuration has.
        rates: Rate of each step.
        losses: Loss of its batch; they may end before the largest rate, where the loss had grown.
    """

    present: float
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def smoothed(self) -> Tensor:
        """Return the mean of each loss and its neighbours `(num_steps,)`, up to the first that is not finite."""
        losses = torch.tensor(self.losses, dtype=torch.double)
        finite = losses[: int(losses.isfinite().cumprod(0).sum())]
        if len(finite):  # what has grown beyond the start tells no more, however large it is
            finite = finite.clamp(max=(2 * finite[:NUM_FIRST].mean() - finite.min()).item())
        places = torch.arange(len(finite), dtype=torch.double)
        weights = torch.exp(-0.5 * ((places - places.unsqueeze(1)) / WIDTH) ** 2)
        return weights @ finite / weights.sum(1)

    def suggestion(self) -> tuple[int, int] | None:
        """Return the step where the loss falls fastest and that where it is lowest; None if it falls nowhere.

        What falls less than the losses scatter around their mean does not count, nor what falls from the first step
        on: that is an optimizer to which the rate matters little, such as L-BFGS.
        """
        means = self.smoothed()
        if len(means) < 4 * WIDTH:
            return None
        lowest = int(means.argmin())
        highest = int(means[: lowest + 1].argmax())
        if lowest - highest < WIDTH:
            return None
        noise = (torch.tensor(self.losses[: lowest + 1], dtype=torch.double) - means[: lowest + 1]).std()
        if means[highest] - means[lowest] <= noise.clamp(min=1e-6 * means[highest].abs()):
            return None
        slopes = means[highest + 1 : lowest + 1] - means[highest:lowest]  # rates grow by the same factor each step
        steepest = highest + int(slopes.argmin())
        return (steepest, lowest) if steepest >= WIDTH else None


class RateFinder(Callback):
    """Makes the range test where a fit starts, and ends the fit.

    Args:
        more: Callbacks whose `on_fit_start` is called before the fit ends.
    """

    def __init__(self, more: Sequence[Callback] = ()) -> None:
        self.found: RangeTest | None = None
        self.more = more

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave out a task's schedule: the test sets the rates, and the groups shall have their own."""
        if isinstance(pl_module, TaskModule):
            pl_module.lr_scheduler = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the test.

        Raises:
            ValueError: If the module does not leave one optimizer to Lightning.
            EnoughError: Otherwise.
        """
        if not pl_module.automatic_optimization:
            raise ValueError(f"`find-lr` sets the rate of each step, and {type(pl_module).__name__} steps by itself")
        if len(trainer.optimizers) != 1 or not trainer.optimizers[0].param_groups:
            raise ValueError(f"`find-lr` needs one optimizer, and {type(pl_module).__name__} has another number")
        (optimizer,) = trainer.optimizers
        trainer.fit_loop.max_epochs = -1  # only now: schedules were made for the length of the run
        self.found = RangeTest(usual_rate(optimizer))
        finder = LearningRateFinder(MIN_RATE, MAX_RATE, NUM_STEPS, update_attr=False)
        with in_proportion(optimizer), recording(trainer, self.found), quiet_bar():
            finder.lr_find(trainer, pl_module)
        for callback in self.more:
            callback.on_fit_start(trainer, pl_module)
        raise EnoughError


@contextmanager
def recording(trainer: Trainer, found: RangeTest) -> Iterator[None]:
    """Keep rate and loss of each step: the loss of its first batch, as L-BFGS and accumulation have several."""
    module, (optimizer,) = trainer.lightning_module, trainer.optimizers
    waiting: list[float] = []
    hook = module.on_before_backward

    def keep_loss(loss: Tensor) -> None:
        waiting.append(float(loss.detach()) * trainer.accumulate_grad_batches)
        hook(loss)

    def keep_step(*_: Any) -> None:
        if waiting:
            found.rates.append(float(optimizer.param_groups[0]["lr"]))
            found.losses.append(waiting[0])
        waiting.clear()

    vars(module)["on_before_backward"] = keep_loss
    handle = optimizer.register_step_post_hook(keep_step)  # after that of `in_proportion`, which restores the rates
    try:
        yield
    finally:
        del vars(module)["on_before_backward"]
        handle.remove()


@contextmanager
def quiet_bar() -> Iterator[None]:
    """Leave out the progress bar of Lightning's finder where standard error is no terminal."""
    if sys.stderr.isatty():
        yield
        return
    written = io.StringIO()
    try:
        with redirect_stderr(written):
            yield
    finally:
        lines = re.split(r"[\r\n]+", written.getvalue())
        sys.stderr.write("".join(f"{line}\n" for line in lines if line and not line.startswith("Finding best")))


def usual_rate(optimizer: Optimizer) -> float:
    """Return the rate of the groups without another one, or else of the first one."""
    rates = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    usual = optimizer.defaults.get("lr")
    return float(usual) if usual is not None and any(rate == float(usual) for rate in rates) else rates[0]


@contextmanager
def in_proportion(optimizer: Optimizer) -> Iterator[None]:
    """Make steps with rates of the groups in the proportion that they have now: Lightning gives all of them one."""
    usual = usual_rate(optimizer)
    rates = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    shares = [rate / usual if usual else 1.0 for rate in rates]

    def scale(*_: Any) -> None:
        given[:] = [group["lr"] for group in optimizer.param_groups]
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = group["lr"] * share

    def restore(*_: Any) -> None:
        for group, rate in zip(optimizer.param_groups, given, strict=True):
            group["lr"] = rate

    given: list[Any] = []
    handles = optimizer.register_step_pre_hook(scale), optimizer.register_step_post_hook(restore)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

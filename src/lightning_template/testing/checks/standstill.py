"""The cause of a loss that does not fall, found by trials."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from lightning_template.testing.callbacks import LossRecorder, SameNumbers
from lightning_template.testing.exceptions import CheckAdvised
from lightning_template.testing.subject import Subject

NUM_STEPS = 10
DIVERGED = 1.0
"""Rise of the loss, as a part of it, from which on a learning rate is a mistake for certain."""


def cause_of_standstill(subject: Subject, losses: Sequence[float]) -> str:
    """Return why steps on one batch do not lower the loss, as far as a few trials tell.

    Raises:
        CheckAdvised: If another learning rate would, and this one may suit more steps or other batches.
    """
    seen = Steps()
    _losses(subject, 1.0, seen)
    if seen.maximizes:
        return "the optimizer has `maximize=True`, a wrong sign for a loss"
    if seen.rates and max(seen.rates) == 0:
        return "the learning rate is 0"
    if seen.after_backward and max(seen.after_backward) == 0:
        return (
            "all gradients are 0, so nothing tells the weights where to go: a constant loss, a factor of 0, dead units"
        )
    if seen.at_step and max(seen.at_step) == 0:
        return (
            f"gradients, up to {max(seen.after_backward):.3g} after the backward pass, are 0 when the optimizer makes "
            "its step: clipped to 0, or zeroed in a hook"
        )
    if not seen.at_step:
        return "no step changes a weight: the optimizer's `step` is not called, or not on these weights"
    if cause := _wrong_rate(subject, losses, max(seen.rates, default=0)):
        return cause
    if losses[-1] > losses[0]:
        return "it rises with any learning rate, so steps follow the gradient upwards: a wrong sign"
    return "no learning rate lowers it, so gradients do not lead to it: look for what is detached, or for a wrong sign"


def _wrong_rate(subject: Subject, losses: Sequence[float], rate: float) -> str:
    """Return what is wrong with the learning rate, if the loss falls with another one."""
    for factor, what in (
        (1e-2, "too large"),
        (1e-4, "far too large"),
        (1e2, "too small"),
        (1e4, "far too small"),
        (1e7, "far too small"),
    ):
        trial = _losses(subject, factor)
        if trial and min(trial[-3:]) < trial[0] - 1e-5 * abs(trial[0]):
            cause = f"the learning rate, {rate:.3g}, is {what}: with {rate * factor:.3g} it falls to {min(trial):.6g}"
            diverges = not losses[-1] <= losses[0] + DIVERGED * abs(losses[0])
            if diverges or what == "far too small":
                return cause
            raise CheckAdvised(f"{len(losses)} steps on one batch do not lower the loss, {losses[0]:.6g}: {cause}")
    return ""


def _losses(subject: Subject, factor: float, *callbacks: Callback) -> list[float]:
    losses = LossRecorder()
    steps = [subject.train_batches[0]] * NUM_STEPS
    subject.fit(subject.task(), steps, callbacks=[SameNumbers(), losses, OtherRate(factor), *callbacks])
    return losses.values


class OtherRate(Callback):
    """Multiplies learning rates by a factor.

    Args:
        factor: The factor.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Multiply."""
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * self.factor


class Steps(Callback):
    """Records what becomes of gradients on their way to the weights."""

    def __init__(self) -> None:
        self.after_backward: list[float] = []
        self.at_step: list[float] = []
        self.rates: list[float] = []
        self.maximizes = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch the optimizers' own steps, which come after all hooks."""
        for optimizer in trainer.optimizers:
            self.maximizes |= any(group.get("maximize", False) for group in optimizer.param_groups)
            optimizer.register_step_post_hook(self._look)

    def _look(self, optimizer: Optimizer, *_: Any) -> None:
        self.rates += [float(group["lr"]) for group in optimizer.param_groups]
        self.at_step.append(_largest(p for group in optimizer.param_groups for p in group["params"]))

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the task's own hooks."""
        self.after_backward.append(_largest(pl_module.parameters()))


def _largest(parameters: Any) -> float:
    return max((float(p.grad.abs().max()) for p in parameters if p.grad is not None and p.grad.numel()), default=0.0)

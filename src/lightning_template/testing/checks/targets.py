"""Checks of how targets meet outputs."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_template.testing.batches import pair, replaced
from lightning_template.testing.callbacks import SameNumbers
from lightning_template.testing.checks.comparing import close_numbers
from lightning_template.testing.checks.graph import compared_with, first_function, nodes_of
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject

MAX_COLUMNS = 16
LARGE = 0.1
"""Part of the largest change of a gradient that counts as a change."""
MANY_OUTSIDE = 0.05
"""Part of the targets that may lie outside of what outputs can be."""
RANGES = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Relu": (0.0, torch.inf), "Softmax": (0.0, 1.0)}
"""Values that functions can return, by the names of their gradients."""


def every_target_matters(subject: Subject) -> None:
    """Each column of the targets, and each class, changes the loss, or none does."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts is None or not parts[1].is_floating_point() or parts[1].ndim != 2 or parts[1].shape[1] < 2:
        raise CheckSkipped("known only for targets of several numbers")
    targets = parts[1]
    expected = subject.losses(subject.task(), [batch])[0]
    columns = range(min(targets.shape[1], MAX_COLUMNS))
    ignored = []
    for column in columns:
        changed = targets.clone()
        changed[:, column] = 1 - changed[:, column]
        if close_numbers(subject.losses(subject.task(), [replaced(batch, targets, changed)])[0], expected):
            ignored.append(column)
    if ignored and len(ignored) < len(columns):
        raise CheckFailed(
            f"the loss stays {expected:.6g} when columns {ignored} of the targets change, so they are not learned: "
            "an index or slice in the loss leaves them out"
        )


def targets_meet_their_outputs(subject: Subject) -> None:
    """The target of a sample changes the gradient of the outputs of this sample, at the scores of its classes."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts is None or parts[1].is_floating_point() or parts[1].ndim == 0 or len(torch.unique(parts[1])) < 2:
        raise CheckSkipped("known only for targets that are classes")
    targets = parts[1]
    before = _gradient(subject, batch)
    if before is None or len(before) != len(targets):
        raise CheckSkipped("no layer's outputs are known to be those of the loss, for each sample")
    _require_each_class(subject, batch, targets, before)
    place = tuple(int(index) for index in (targets != targets.flatten()[0]).nonzero()[0])
    changed = targets.clone()
    changed[place] = targets.flatten()[0]
    after = _gradient(subject, replaced(batch, targets, changed))
    if after is None or after.shape != before.shape or torch.equal(before, after):
        raise CheckSkipped("the loss does not depend on single targets")
    change = (after - before).abs()
    entries = (change > LARGE * change.max()).nonzero()
    samples = sorted(set(entries[:, 0].tolist()))
    if place[0] not in samples and len(samples) == 1:
        if _pairs_at_random(subject, batch, replaced(batch, targets, changed), samples[0]):
            raise CheckSkipped("random numbers of the step decide which inputs and targets meet")
        raise CheckFailed(
            f"the target of sample {place[0]} changes the gradient of the outputs of sample {samples[0]}, and not of "
            "its own, so inputs learn each other's targets: often a `roll`, a shift, or another order"
        )
    classes = {int(targets[place]), int(changed[place])}
    fits = [dim for dim in range(1, before.ndim) if _without(before.shape, dim) == [*targets.shape]]
    if targets.ndim > 1 and fits and len(entries) == 2 and samples == [place[0]]:
        one, other = entries.tolist()
        if not any(_without(one, d) == _without(other, d) and {one[d], other[d]} == classes for d in fits):
            raise CheckFailed(
                f"the target at {[*place]} changes the gradient of the outputs at {one} and {other}, which are no "
                "scores of one place: often `view` or `reshape` where `transpose` or `permute` is meant"
            )


def _without(values: Any, dim: int) -> list[int]:
    return [*values[:dim], *values[dim + 1 :]]


def _require_each_class(subject: Subject, batch: Any, targets: Tensor, gradient: Tensor) -> None:
    """Require no class to be left out, where each sample has one."""
    if targets.ndim > 1 or gradient.ndim != 2 or targets.min() < 0 or targets.max() >= gradient.shape[1]:
        return
    is_still = gradient.abs().amax(1) == 0
    for label in torch.unique(targets).tolist():
        rows = (targets == label).nonzero()[:, 0].tolist()
        if is_still.all() or len(rows) < 2 or not all(is_still[row] for row in rows):
            continue
        changed = targets.clone()
        changed[rows[0]] = next(other for other in targets.tolist() if other != label)
        after = _gradient(subject, replaced(batch, targets, changed))
        if after is not None and after[rows[0]].abs().max() > 0:
            raise CheckFailed(
                f"samples {rows[:3]} of class {label} do not change the loss, and would with another class, so class "
                f"{label} is not learned: often `ignore_index={label}`, or a weight of 0"
            )


class LastOutputs(Callback):
    """Keeps the gradient of what the last layer of the first step returns."""

    def __init__(self) -> None:
        self.outputs: list[Tensor] = []
        self.gradient: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch all modules, the losses and metrics among them, which return no tensors with samples."""
        for module in pl_module.modules():
            module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, arguments: Any, outputs: Any) -> None:
        if isinstance(outputs, Tensor) and outputs.requires_grad and outputs.ndim > 1:
            outputs.retain_grad()
            self.outputs.append(outputs)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the gradient."""
        if self.gradient is None and self.outputs and (gradient := self.outputs[-1].grad) is not None:
            self.gradient = gradient.clone()


def _gradient(subject: Subject, batch: Any, seed: int = 0) -> Tensor | None:
    keep = LastOutputs()
    subject.fit(subject.task(), [batch], callbacks=[SameNumbers(seed), keep])
    return keep.gradient


def _pairs_at_random(subject: Subject, batch: Any, other: Any, sample: int) -> bool:
    """Tell whether random numbers decide which samples meet, as in mixup: with others, another one changes."""
    for seed in (1, 2, 3):
        before, after = _gradient(subject, batch, seed), _gradient(subject, other, seed)
        if before is None or after is None:
            return True
        if (after - before).abs().flatten(1).amax(1).argmax().item() != sample:
            return True
    return False


def outputs_reach_targets(subject: Subject) -> None:
    """The last function of the network can return the targets."""
    seen = Comparisons()
    subject.fit(subject.task(), subject.train_batches, callbacks=[seen])
    if not seen.found:
        raise CheckSkipped("no loss that compares numbers with targets is known")
    for name, targets in seen.found:
        low, high = next((span for start, span in RANGES.items() if name.startswith(start)), (-torch.inf, torch.inf))
        outside = ((targets < low - 1e-3) | (targets > high + 1e-3)).float().mean().item()
        if outside >= MANY_OUTSIDE:
            raise CheckFailed(
                f"{outside:.0%} of the targets lie outside of {low:g} to {high:g}, between {targets.min():.4g} and "
                f"{targets.max():.4g}, and the network ends with {name.removesuffix('Backward0').lower()}, which "
                "returns nothing else: leave it out, or scale the targets"
            )


class Comparisons(Callback):
    """Records what losses compare with targets: the last function before them, and the targets."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Tensor]] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look for losses of numbers in the graph."""
        for node in nodes_of(loss):
            targets = compared_with(node)
            if targets is not None and not targets.requires_grad:
                self.found.append((first_function(node), targets))

"""Checks of layers: whether the task knows its weights, and each is there for itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_template.testing.checks.comparing import equal, list_names
from lightning_template.testing.checks.graph import nodes_of
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject


def layers_are_registered(subject: Subject) -> None:
    """Every weight that the loss depends on is a parameter of the task."""
    task, seen = subject.task(), WeightsOfLoss()
    names = {id(weight): name for name, weight in _hidden_weights(task) if weight.requires_grad}
    try:
        trainer = subject.fit(task, subject.train_batches[:1] * 2, callbacks=[seen])
    except ValueError as error:
        if not names or "empty parameter list" not in str(error):
            raise
        raise CheckFailed(f"the optimizer gets no parameters: {_hidden([*names.values()])}") from error
    known = {id(weight) for weight in task.parameters()}
    in_optimizers = {id(w) for optimizer in trainer.optimizers for g in optimizer.param_groups for w in g["params"]}
    lost = {key: weight for key, weight in seen.lasting.items() if key not in known}
    found = [names[key] for key in lost if key in names]
    found += [f"a weight of shape {tuple(w.shape)}" for k, w in lost.items() if k not in names and _is_weight(w)]
    if found and in_optimizers.isdisjoint(lost):
        raise CheckFailed(f"training does not change what the loss depends on: {_hidden(found)}")
    if found:
        raise CheckAdvised(f"the optimizer knows them, and no checkpoint does: {_hidden(found)}")


def _hidden(names: Sequence[str]) -> str:
    return (
        f"{list_names(names)} belongs to no registered layer, so optimizers, checkpoints and devices do not know it; "
        "layers in a Python list, a dict or a class belong into `nn.ModuleList` or `nn.ModuleDict` in the constructor"
    )


def _is_weight(tensor: Tensor) -> bool:
    """Tell a weight from inputs that require a gradient, such as those of a gradient penalty."""
    return isinstance(tensor, nn.Parameter)


class WeightsOfLoss(Callback):
    """Records the leaves of the loss's graph that outlive a step."""

    def __init__(self) -> None:
        self.steps: list[dict[int, Tensor]] = []

    @property
    def lasting(self) -> dict[int, Tensor]:
        """Leaves of the first step that are those of the second one too."""
        first, second = [*self.steps, {}, {}][:2]
        return {key: leaf for key, leaf in first.items() if key in second}

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Walk from the loss to the leaves."""
        leaves = [leaf for node in nodes_of(loss) if (leaf := getattr(node, "variable", None)) is not None]
        self.steps.append({id(leaf): leaf for leaf in leaves})


def _hidden_weights(task: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights in attributes of modules, and of their classes, that are no parameters."""
    known = {id(weight) for weight in task.parameters()}
    for path, module in task.named_modules():
        shared = {n: v for base in type(module).__mro__ for n, v in vars(base).items() if isinstance(v, nn.Module)}
        for name, value in {**shared, **vars(module)}.items():
            if not name.startswith("_"):
                for inner, weight in _weights(f"{path}.{name}".removeprefix("."), value, depth=3):
                    if id(weight) not in known:
                        yield inner, weight


def _weights(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, LightningModule | Trainer):
        return
    if isinstance(value, nn.Module):
        yield from ((f"{name}.{inner}", weight) for inner, weight in value.named_parameters())
    elif isinstance(value, Tensor):
        if value.is_leaf and value.requires_grad:
            yield name, value
    elif depth and isinstance(value, Mapping | Sequence | set) and not isinstance(value, str):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _weights(f"{name}[{key!r}]", part, depth - 1)


def layers_are_their_own(subject: Subject) -> None:
    """No list of layers has one layer several times, and frozen ones are not as they were drawn."""
    task = subject.task()
    paths: dict[int, list[str]] = {}
    for path, module in task.named_modules(remove_duplicate=False):
        if any(True for _ in module.parameters()):
            paths.setdefault(id(module), []).append(path)
    for places in (places for places in paths.values() if len(places) > 1):
        parents = {place.rpartition(".")[0] for place in places}
        if len(parents) == 1 and isinstance(task.get_submodule(*parents), nn.Sequential | nn.ModuleList):
            raise CheckFailed(
                f"{list_names(places)} are one layer with one set of weights: `[layer] * {len(places)}` repeats a "
                "layer and copies none; make each in a loop"
            )
        without_numbers = {re.sub(r"\.\d+\b", "", place) for place in places}
        if len(parents) == 1 or len(without_numbers) == 1:
            raise CheckAdvised(
                f"{list_names(places)} are one layer with one set of weights; if each shall have its own, make each"
            )
    _require_frozen_to_be_trained(subject)


def _require_frozen_to_be_trained(subject: Subject) -> None:
    try:
        one, other = (subject.constructed_task(seed) for seed in (0, 1))
    except CheckSkipped:
        return
    weights, trained = dict(other.named_parameters()), dict(subject.once(overfitted).task.named_parameters())
    frozen = [
        name
        for name, weight in one.named_parameters()
        if not weight.requires_grad and equal(weight, trained.get(name)) and not equal(weight, weights.get(name))
    ]
    if frozen:
        raise CheckAdvised(
            f"{list_names(frozen)} is frozen and drawn at random, so it stays random: right for random features; "
            "otherwise load trained weights, or leave out `requires_grad_(False)`"
        )


def units_learn_different_things(subject: Subject) -> None:
    """The units of a layer do not stay equal while it is trained."""
    before = dict(subject.task().named_parameters())
    after = subject.once(overfitted).task
    same: list[str] = []
    still: list[str] = []
    for name, weight in after.named_parameters():
        rows = weight.detach().flatten(1) if weight.ndim > 1 else weight.detach()[:0, None]
        if len(rows) > 1 and weight.requires_grad and torch.equal(rows, rows[:1].expand_as(rows)):
            (still if equal(weight, before.get(name)) else same).append(name)
    if same:
        raise CheckFailed(
            f"the rows of {list_names(same)} are equal, and stay equal in training, so all units learn the same: "
            "initialise them with random numbers"
        )
    if still:
        raise CheckAdvised(f"the rows of {list_names(still)} are equal, and a few steps do not change them")


class Overfitted:
    """A task that was trained with one batch.

    Args:
        task: The task.
        losses: Losses of the steps.
    """

    def __init__(self, task: LightningModule, losses: list[float]) -> None:
        self.task = task
        self.losses = losses


OVERFITTING_STEPS = 20


def overfitted(subject: Subject) -> Overfitted:
    """Return a task that made some steps with the first batch."""
    task = subject.task()
    return Overfitted(task, subject.losses(task, subject.train_batches[:1] * OVERFITTING_STEPS))

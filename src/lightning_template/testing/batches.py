"""Batches cut, joined, copied and replayed, whatever their structure."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from lightning_template.engine.libraries.torch_private import tree_map
from lightning_template.engine.nests import attributes_of
from lightning_template.engine.tasks import TaskModule
from lightning_template.testing.exceptions import CheckSkipped

TARGETS = {"y", "label", "labels", "target", "targets"}
"""Usual names of targets in batches with names."""


def map_leaves(function: Callable[[Any], Any], batch: Any) -> Any:
    """Return a batch with each leaf replaced; objects of a user's classes are copied and searched for leaves.

    A list of texts is one leaf, with a text for each sample.
    """

    def apply(leaf: Any) -> Any:
        if isinstance(leaf, Tensor) or callable(leaf) or not (attributes := attributes_of(leaf)):
            return function(leaf)
        other = copy.copy(leaf)
        for name, value in attributes.items():
            object.__setattr__(other, name, map_leaves(function, value))  # dataclasses may be frozen
        return other

    return tree_map(apply, batch, is_leaf=_is_texts)


def leaves_of(batch: Any) -> list[Any]:
    """Return the leaves of a batch in the order of `map_leaves`."""
    leaves: list[Any] = []
    map_leaves(leaves.append, batch)
    return leaves


def _is_texts(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(text, str) for text in part)


def num_samples(batch: Any) -> int:
    """Return the number of samples of a batch of tensors with samples along dimension 0, and of lists of texts.

    Raises:
        CheckSkipped: If it is not.
    """
    leaves = leaves_of(batch)
    whole = all(leaf.ndim if isinstance(leaf, Tensor) else _is_texts(leaf) for leaf in leaves)
    if not whole or len(set(map(len, leaves))) != 1:
        raise CheckSkipped("batches cannot be cut: they are not made of tensors with samples along dimension 0")
    return len(leaves[0])


def take(batch: Any, indices: Sequence[int]) -> Any:
    """Return the batch of some samples of a batch, in the order of their indices."""
    num_samples(batch)
    return map_leaves(
        lambda leaf: leaf[list(indices)] if isinstance(leaf, Tensor) else [leaf[index] for index in indices], batch
    )


def join(batches: Sequence[Any]) -> Any:
    """Return one batch of the samples of several.

    Raises:
        CheckSkipped: If they cannot be joined.
    """
    for batch in batches:
        num_samples(batch)
    leaves = [leaves_of(batch) for batch in batches]
    if len({tuple(leaf.shape[1:] if isinstance(leaf, Tensor) else str for leaf in parts) for parts in leaves}) != 1:
        raise CheckSkipped("batches cannot be joined: their samples differ in shape")
    joined = iter([_joined(parts) for parts in zip(*leaves, strict=True)])
    return map_leaves(lambda _: next(joined), batches[0])


def _joined(parts: Sequence[Any]) -> Any:
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else [text for part in parts for text in part]


def cut(batch: Any, sizes: Sequence[int]) -> list[Any]:
    """Return batches of so many samples each of the samples of one."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [take(batch, range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]


def copied(batch: Any) -> Any:
    """Return a batch that may be changed in place."""
    return map_leaves(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, batch)


def pair(batch: Any) -> tuple[Tensor, Tensor] | None:
    """Return inputs and targets where a batch is a pair of them, or has names and the target's is known."""
    if isinstance(batch, Sequence):
        return (batch[0], batch[1]) if len(batch) == 2 and all(isinstance(part, Tensor) for part in batch) else None
    named = batch if isinstance(batch, Mapping) else getattr(batch, "__dict__", {})
    tensors = {str(name): part for name, part in named.items() if isinstance(part, Tensor)}
    targets = [name for name in tensors if name.lower() in TARGETS]
    inputs = [name for name in tensors if name not in targets]
    return (tensors[inputs[0]], tensors[targets[0]]) if len(inputs) == len(targets) == 1 else None


def replaced(batch: Any, part: Tensor, by: Tensor) -> Any:
    """Return a batch with another tensor in the place of one of its parts."""
    return map_leaves(lambda leaf: by if leaf is part else leaf, batch)


def forward_arguments(task: LightningModule, batch: Any) -> tuple[Any, ...]:
    """Return the parts of a batch that `forward` takes.

    A task of the template says it in `unpack`. Others take as many parts as, or those of the names of, the required
    parameters.
    """
    if isinstance(task, TaskModule) and hasattr(task, "unpack"):
        return (task.unpack(batch)[0],)
    parameters = inspect.signature(task.forward).parameters.values()
    required = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    if isinstance(batch, Mapping) and set(required) <= set(batch):
        return tuple(batch[name] for name in required)
    if not isinstance(batch, Tensor | Sequence | Mapping) and required and all(hasattr(batch, n) for n in required):
        return tuple(getattr(batch, name) for name in required)
    return tuple(batch[: max(1, len(required))]) if isinstance(batch, Sequence) else (batch,)


def first_batches(loaders: Any, number: int) -> list[Any]:
    """Return the first batches of a loader, or of several loaders as Lightning combines them."""
    if isinstance(loaders, Sequence | dict) and loaders:
        loaders = CombinedLoader(loaders, "max_size_cycle")
    if isinstance(loaders, CombinedLoader):
        return [batch for batch, _, _ in islice(loaders, number)]
    return list(islice(loaders, number))


def shorten(batch: Any, max_samples: int) -> Any:
    """Return the batch of the first samples of a batch; all of it if it cannot be cut."""
    try:
        size = num_samples(batch)
    except CheckSkipped:
        return batch
    return take(batch, range(min(size, max_samples)))


class ReplayLoader:
    """A loader that serves recorded batches, a copy in each pass.

    Args:
        epochs: Batches of each pass, equally many; those of the last one serve all further passes.
    """

    def __init__(self, epochs: Sequence[Sequence[Any]]) -> None:
        self.epochs = epochs
        self.num_passes = 0

    def __len__(self) -> int:
        return len(self.epochs[0])

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epochs[min(self.num_passes, len(self.epochs) - 1)]
        self.num_passes += 1
        yield from map(copied, epoch)

"""Batches cut, joined, copied and replayed, whatever their structure."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from lightning_template.engine.libraries.torch_private import tree_flatten, tree_leaves, tree_map, tree_unflatten
from lightning_template.testing.exceptions import CheckSkipped


def num_samples(batch: Any) -> int:
    """Return the number of samples of a batch that is made of tensors with samples along dimension 0.

    Raises:
        CheckSkipped: If it is not.
    """
    leaves = tree_leaves(batch)
    if not all(isinstance(leaf, Tensor) and leaf.ndim for leaf in leaves) or len(set(map(len, leaves))) != 1:
        raise CheckSkipped("batches cannot be cut: they are not made of tensors with samples along dimension 0")
    return len(leaves[0])


def take(batch: Any, indices: Sequence[int]) -> Any:
    """Return the batch of some samples of a batch, in the order of their indices."""
    num_samples(batch)
    return tree_map(lambda leaf: leaf[list(indices)], batch)


def join(batches: Sequence[Any]) -> Any:
    """Return one batch of the samples of several.

    Raises:
        CheckSkipped: If they cannot be joined.
    """
    for batch in batches:
        num_samples(batch)
    leaves, structures = zip(*map(tree_flatten, batches), strict=True)
    if len({tuple(leaf.shape[1:] for leaf in parts) for parts in leaves}) != 1:
        raise CheckSkipped("batches cannot be joined: their samples differ in shape")
    return tree_unflatten([torch.cat(parts) for parts in zip(*leaves, strict=True)], structures[0])


def cut(batch: Any, sizes: Sequence[int]) -> list[Any]:
    """Return batches of so many samples each of the samples of one."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [take(batch, range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]


def copied(batch: Any) -> Any:
    """Return a batch that may be changed in place."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, batch)


def pair(batch: Any) -> tuple[Tensor, Tensor] | None:
    """Return inputs and targets where a batch is a pair of them."""
    if isinstance(batch, Sequence) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
        return batch[0], batch[1]
    return None


def forward_arguments(task: LightningModule, batch: Any) -> tuple[Any, ...]:
    """Return the parts of a batch that `forward` takes: as many, or those of the names, of its required parameters."""
    parameters = inspect.signature(task.forward).parameters.values()
    required = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    if isinstance(batch, Mapping) and set(required) <= set(batch):
        return tuple(batch[name] for name in required)
    return tuple(batch[: max(1, len(required))]) if isinstance(batch, Sequence) else (batch,)


def first_batches(loaders: Any, number: int) -> list[Any]:
    """Return the first batches of a loader, or of several loaders as Lightning combines them."""
    if isinstance(loaders, Sequence | dict) and loaders:
        return [batch for batch, _, _ in islice(CombinedLoader(loaders, "max_size_cycle"), number)]
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

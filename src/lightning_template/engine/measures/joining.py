"""Batches joined to one, where they can be."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_template.engine.libraries.torch_private import tree_flatten, tree_unflatten


def joined(batches: Sequence[Any], sizes: Sequence[int]) -> Sequence[Any]:
    """Return one batch of the samples of several; the batches as they are where that is not the same.

    Args:
        batches: Nests of tensors, see `engine/nests.py`.
        sizes: Number of samples of each. Batches are joined if each of their tensors has as many along dimension 0.

    Example:
        >>> joined([{"a": torch.tensor([1, 2])}, {"a": torch.tensor([3])}], [2, 1])
        [{'a': tensor([1, 2, 3])}]
        >>> len(joined([{"a": torch.zeros(2, 4)}, {"a": torch.zeros(2, 5)}], [2, 2]))
        2
    """
    leaves, structures = zip(*map(tree_flatten, batches), strict=True)
    samples = [_samples(parts, size) for parts, size in zip(leaves, sizes, strict=True)]
    if (
        samples[0] is None
        or any(found != samples[0] for found in samples)
        or any(s != structures[0] for s in structures)
    ):
        return batches
    return [tree_unflatten([torch.cat(parts) for parts in zip(*leaves, strict=True)], structures[0])]


def _samples(leaves: Sequence[Any], size: int) -> list[torch.Size] | None:
    """Return the shapes of a sample; None if the leaves are not tensors of so many samples each."""
    if not all(isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == size for leaf in leaves):
        return None
    return [leaf.shape[1:] for leaf in leaves]

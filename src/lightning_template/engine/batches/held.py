"""Targets that a loader's data set holds, without reading its samples one by one."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, TensorDataset

from lightning_template.engine.batches.tensor_batches import TensorBatches


def data_set(loader: Any) -> Any:
    """Return the data set of a loader, itself if it is whole batches already; None if it has none."""
    if isinstance(loader, TensorBatches):
        return loader
    held = getattr(loader, "batches", None)
    return held if isinstance(held, TensorBatches) else getattr(loader, "dataset", None)


def held_targets(loader: Any) -> tuple[Tensor, Tensor] | None:
    """Return the targets of all stored samples, and which of them the loader serves; None if nobody knows them.

    Args:
        loader: Whole batches, their loader, or a `DataLoader` of samples that are inputs and targets.
    """
    dataset, positions = data_set(loader), None
    if isinstance(dataset, TensorBatches):
        return dataset.targets, dataset.indices
    if not isinstance(loader, DataLoader):
        return None
    while isinstance(dataset, Subset):
        chosen = torch.as_tensor(dataset.indices)
        dataset, positions = dataset.dataset, chosen if positions is None else chosen[positions]
    targets = listed_targets(dataset)
    if targets is None:
        return None
    return targets, torch.arange(len(targets)) if positions is None else positions


def listed_targets(dataset: Any) -> Tensor | None:
    """Return the targets that a data set lists, as those of torchvision do."""
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1] if len(dataset.tensors) == 2 else None
    for targets in (getattr(dataset, "targets", None), getattr(dataset, "labels", None)):
        if isinstance(targets, Tensor | np.ndarray | list) and len(targets):
            return torch.as_tensor(targets)
    return None

"""Sizes that data have: what their datamodule tells, or else what its samples show."""

import math
import operator
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.batches import InMemoryLoader, held_targets, listed_targets
from lightning_template.engine.rehearsal.samples import Sampler
from lightning_template.engine.sizes.preparing import prepare_once

NUM_SAMPLES = 8
"""Number of samples whose shape is looked at."""
MAX_READ = 10_000
"""Largest number of samples that are read one by one to count their classes."""


class DataSizes:
    """Sizes of a datamodule, which is set up only where it does not tell them before.

    Args:
        data: The datamodule.
        is_ready: Whether it is set up for training.
    """

    def __init__(self, data: LightningDataModule, is_ready: bool = False) -> None:
        self.data = data
        self._is_ready = is_ready
        self.failure: Exception | None = None
        """Why no sample could be looked at."""

    def get(self, name: str) -> Any:
        """Return a size, a whole number or a tuple of them; None if nothing tells it.

        Args:
            name: `input_shape`, `num_classes`, `num_labels`, `num_targets`, or any attribute of the datamodule.
        """
        value = self._told(name)
        if value is None and not self._is_ready:
            self._make_ready()
            value = self._told(name)
        if value is None:
            return self._num_classes if name == "num_classes" else self._seen.get(name)
        return value

    def train_targets(self) -> Tensor | None:
        """Return the targets of the training samples, if they are tensors; None if nobody knows all of them."""
        self._make_ready()
        if isinstance(self.data, InMemoryDataModule):
            part = self.data.train_set
            return None if part is None else part.targets[part.indices.to(part.targets.device)]
        return _targets_of(self.data.train_dataloader())

    def _make_ready(self) -> None:
        if not self._is_ready:
            prepare_once(self.data)
            self.data.setup("fit")
            self._is_ready = True

    def _told(self, name: str) -> Any:
        try:
            value = getattr(self.data, name, None)
            if name == "num_classes" and not value:
                value = len(getattr(self.data, "class_names", None) or ())
        except Exception:  # of a property that needs the data, which are not set up
            return None
        return _size(value)

    @cached_property
    def _seen(self) -> Mapping[str, Any]:
        """What samples of the training set show, if they are pairs of inputs and targets."""
        try:
            batch = _batch(self.data.train_dataloader())
        except Exception as error:  # of loaders that need a Trainer, or a sample
            self.failure = error
            return {}
        inputs, targets = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (None, None)
        seen = {"input_shape": _size(inputs.shape[1:])} if isinstance(inputs, Tensor) else {}
        if not isinstance(targets, Tensor):
            return {}
        if targets.ndim == 2 and targets.shape[1] > 1 and bool(((targets == 0) | (targets == 1)).all()):
            seen["num_labels"] = targets.shape[1]
        if targets.is_floating_point() and targets.ndim <= 2:
            seen["num_targets"] = math.prod(targets.shape[1:])
        seen["is_of_classes"] = targets.ndim == 1 and not targets.is_floating_point()
        return seen

    @cached_property
    def _num_classes(self) -> Any:
        """Number of classes of targets that are class indices `(N,)`, all of which may have to be read."""
        return _size(self._count_classes()) if self._seen.get("is_of_classes") else None

    def _count_classes(self) -> int | None:
        if isinstance(self.data, InMemoryDataModule):
            parts = (self.data.train_set, self.data.val_set, self.data.test_set)
            return max(_largest(part.targets) for part in parts if part is not None and len(part)) + 1
        loader = self.data.train_dataloader()
        dataset = loader.dataset if isinstance(loader, DataLoader) else None
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
        if names := getattr(dataset, "classes", None):
            return len(names)
        targets = listed_targets(dataset)
        if targets is None:
            targets = _targets_of(loader)
        return None if targets is None else _largest(targets) + 1


def _targets_of(loader: Any) -> Tensor | None:
    """Return all targets of a loader of pairs, in any order; None if nobody knows them without reading for long."""
    if not isinstance(loader, DataLoader):
        return None
    if held := held_targets(loader):
        targets, positions = held
        return targets[positions]
    try:
        num_samples = len(loader.dataset)  # type: ignore[arg-type]  # a stream has no length
    except TypeError:
        return None
    if num_samples > MAX_READ:
        return None
    whole = DataLoader(loader.dataset, batch_size=loader.batch_size or 1, collate_fn=loader.collate_fn)
    return torch.cat([targets for _, targets in whole])


def _batch(loader: Any) -> Any:
    """Return a few samples of a loader, without its workers where it is known how it makes batches."""
    if not isinstance(loader, DataLoader | InMemoryLoader):
        return None
    sampler = Sampler(loader)
    if sampler.batch_size:
        return sampler.batch(min(NUM_SAMPLES, sampler.batch_size))
    return next(iter(loader))


def _largest(targets: Tensor) -> int:
    """Return the largest class; -1, which makes no number of classes, where targets are no class indices."""
    if targets.is_floating_point() or targets.ndim != 1 or int(targets.min()) < 0:
        return -1
    return int(targets.max())


def _size(value: Any) -> Any:
    """Return a size as plain numbers; None for what is no size, such as 0."""
    try:
        if isinstance(value, tuple | list):
            numbers = tuple(operator.index(item) for item in value)
            return numbers if numbers and min(numbers) > 0 else None
        number = operator.index(value)
    except TypeError:
        return None
    return number if number > 0 and not isinstance(value, bool) else None

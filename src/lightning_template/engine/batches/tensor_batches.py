"""Datasets that are indexed by whole batches: no Python for single samples."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_template.engine.batches.inputs import Inputs
from lightning_template.engine.batches.order import BatchIndex, mix_seeds

Transform = Callable[[Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]


class TensorBatches(Dataset[tuple[Tensor, Tensor]]):
    """Batches of inputs and targets, on the device where these are stored.

    Args:
        inputs: Inputs `(N, ...)`, in any dtype that saves memory; in files if they are too large for it.
        targets: Targets `(N, ...)`, on the same device.
        indices: Indices of the samples to use, in this order; all samples if not given.
        transform: Turns stored inputs into what the network takes, each sample alike in whatever batch it is.
        augmentations: Random changes of the stored inputs, one after the other, before `transform`.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Tensor,
        indices: Tensor | None = None,
        transform: Transform | None = None,
        augmentations: Sequence[Augment] = (),
    ) -> None:
        self.inputs: Any = inputs  # mostly a tensor, which can do more than `Inputs`
        self.targets = targets
        self.transform = transform
        self.indices = torch.arange(len(inputs)) if indices is None else indices
        self.augmentations = augmentations

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: BatchIndex) -> tuple[Tensor, Tensor]:
        """Return a batch of inputs and targets."""
        return self.prepare([index])[0]

    def prepare(self, batches: Sequence[BatchIndex]) -> list[tuple[Tensor, Tensor]]:
        """Return several batches, in less time than one by one."""
        sizes = [len(batch.positions) for batch in batches]
        positions = torch.cat([batch.positions for batch in batches])
        indices = self.indices.index_select(0, positions).to(self.targets.device)
        inputs: Tensor = self.inputs.index_select(0, indices)  # half the time of `self.inputs[indices]`
        targets = self.targets.index_select(0, indices)
        if self.augmentations:
            parts = zip(torch.split(inputs, sizes), batches, strict=True)
            inputs = torch.cat([self._augment(part, batch) for part, batch in parts])
        if self.transform is not None:
            inputs = self.transform(inputs)
        return list(zip(torch.split(inputs, sizes), torch.split(targets, sizes), strict=True))

    def _augment(self, inputs: Tensor, index: BatchIndex) -> Tensor:
        generator = torch.Generator().manual_seed(mix_seeds(*index.seeds))
        for augment in self.augmentations:
            inputs = augment(inputs, generator)
        return inputs


class InputBatches(Dataset[Tensor]):
    """Batches of inputs without targets, in their order.

    Args:
        inputs: Inputs `(N, ...)`.
        transform: Turns stored inputs into what the network takes.
        batch_size: Number of samples in a batch.
    """

    def __init__(self, inputs: Inputs, transform: Transform, batch_size: int) -> None:
        self.inputs = inputs
        self.transform = transform
        self.indices = torch.split(torch.arange(len(inputs)), batch_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> Tensor:
        """Return a batch."""
        return self.transform(self.inputs.index_select(0, self.indices[number]))

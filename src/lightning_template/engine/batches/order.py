"""The order of samples: which of them make which batch."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler


class BatchIndex(NamedTuple):
    """Samples of a batch, and the seeds of its augmentations.

    Attributes:
        positions: Positions of the samples in the dataset, integers `(batch_size,)`.
        seeds: Seed of the order, epoch, rank and number of the batch; augmentations depend on nothing else.
    """

    positions: Tensor
    seeds: tuple[int, ...]


def mix_seeds(*seeds: int) -> int:
    """Return a hash of `seeds`; their sum would be the same for seed 0 in epoch 1 and seed 1 in epoch 0."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]) % 2**63


class BatchOrder(DistributedSampler[BatchIndex]):
    """The samples of each batch, a pure function of seed, epoch and position in the epoch.

    Across ranks, each batch of `batch_size * num_replicas` samples is cut into one part for each rank. It is a
    `DistributedSampler` because Lightning does not replace those.

    Args:
        num_samples: Number of samples in an epoch, over all ranks.
        batch_size: Number of samples in a batch on one rank.
        shuffle: Whether the order changes from epoch to epoch; otherwise samples come in stored order.
        seed: Seed of the order.
        training: Whether ranks must get equally many samples, so that the mean of their gradients is the batch's. Then
            up to `num_replicas - 1` samples of the last batch are left out; otherwise none is left out or repeated.
        num_replicas: Number of ranks.
        rank: Rank of this process.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        training: bool = False,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(range(num_samples), num_replicas, rank, shuffle, seed)  # type: ignore[arg-type]  # has a length
        self.batch_size = batch_size
        remainder = num_samples % num_replicas if training else 0
        self.num_used = num_samples - remainder
        self._start = 0

    def start_at(self, number: int) -> None:
        """Skip the first `number` batches of the next epoch, which a resumed run has trained with already."""
        self._start = number

    @property
    def sampler(self) -> "BatchOrder":
        """Itself: Lightning calls `set_epoch` on the `sampler` of a loader's `batch_sampler`."""
        return self

    def __len__(self) -> int:
        """Return the number of batches in an epoch on this rank."""
        num_whole, rest = divmod(self.num_used, self.batch_size * self.num_replicas)
        return num_whole + (rest > self.rank)

    def __iter__(self) -> Iterator[BatchIndex]:
        """Yield the batches of the epoch that `set_epoch` set."""
        order = self._epoch_order()[: self.num_used]
        start, self._start = self._start, 0
        for number, batch in islice(enumerate(torch.split(order, self.batch_size * self.num_replicas)), start, None):
            part = batch.tensor_split(self.num_replicas)[self.rank]
            if len(part):
                yield BatchIndex(part, (self.seed, self.epoch, self.rank, number))

    def _epoch_order(self) -> Tensor:
        num_samples = len(self.dataset)  # type: ignore[arg-type]  # a range
        if not self.shuffle:
            return torch.arange(num_samples)
        generator = torch.Generator().manual_seed(mix_seeds(self.seed, self.epoch))
        return torch.randperm(num_samples, generator=generator)

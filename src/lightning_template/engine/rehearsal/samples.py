"""Batches of a few samples of a loader, taken in this process, without changing the data set."""

import copy
import gc
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler

from lightning_template.engine.batches import BatchIndex, InMemoryLoader, TensorBatches
from lightning_template.engine.libraries.torch_private import tree_leaves
from lightning_template.engine.loops.random_state import random_state, set_random_state

MAX_SHARED = 1000
"""Length of a list or mapping of a data set above which it is taken for its data, and not copied."""


class Sampler:
    """Makes batches as a loader would, of samples from all over its data set.

    Args:
        loader: Loader of a stage.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.dataset = getattr(loader, "batches", None) if isinstance(loader, InMemoryLoader) else None
        if isinstance(loader, DataLoader):
            self.dataset = loader.dataset
        self.batch_size = self._batch_size()
        """Number of samples in a batch, or 1 where the data set holds whole batches; 0 if that is not known."""

    def _batch_size(self) -> int:
        if isinstance(self.dataset, TensorBatches):
            order = self.loader.batch_sampler if isinstance(self.loader, InMemoryLoader) else self.loader.sampler
            return min(order.batch_size, len(self.dataset))
        if not isinstance(self.loader, DataLoader) or isinstance(self.dataset, IterableDataset):
            return 0
        if not isinstance(self.loader.sampler, RandomSampler | SequentialSampler):
            return 0
        if self.loader.batch_sampler is None:
            return 1
        return min(self.loader.batch_size or 0, len(self.loader.sampler))

    def few(self) -> Any:
        """Return a batch of one or two samples, also where it is not known how many a batch has; None if it cannot be.

        Raises:
            Exception: Whatever a user's data set raises.
        """
        if self.batch_size:
            return self.batch(min(self.batch_size, 2))
        if not isinstance(self.loader, DataLoader) or isinstance(self.dataset, IterableDataset):
            return None
        return self.batch(min(len(self.dataset), 2))  # type: ignore[arg-type]  # it is no stream

    def batch(self, size: int) -> Any:
        """Return a batch of some samples, among them those with the smallest and the largest class.

        Raises:
            Exception: Whatever a user's data set raises.
        """
        assert self.dataset is not None
        positions = torch.linspace(0, len(self.dataset) - 1, size).long()
        if isinstance(self.dataset, TensorBatches):
            targets = self.dataset.targets[self.dataset.indices.to(self.dataset.targets.device)]
            if targets.ndim == 1 and not targets.is_floating_point() and size > 2:
                positions[1], positions[-1] = targets.argmin(), targets.argmax()
            return self.dataset[BatchIndex(positions, (0, 0, 0, 0))]
        dataset = copy.deepcopy(self.dataset, shared_parts(self.dataset))
        if self.loader.batch_sampler is None:
            return self.loader.collate_fn(dataset[0])
        indices = positions.tolist()
        get_all = getattr(dataset, "__getitems__", None)
        return self.loader.collate_fn(get_all(indices) if get_all else [dataset[index] for index in indices])


def shared_parts(value: Any) -> dict[int, Any]:
    """Return a memo for `copy.deepcopy` with which a copy shares tensors, arrays and long lists."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen.add(id(item))
        is_long = isinstance(item, Sequence | dict | set) and len(item) > MAX_SHARED
        if is_long or isinstance(item, Tensor | np.ndarray):
            found[id(item)] = item
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple | set):
            waiting += item
        elif hasattr(item, "__dict__"):
            waiting += vars(item).values()
    return found


@dataclass
class Drawn:
    """Random numbers that were drawn.

    Attributes:
        any: Whether there were some; known at the end.
    """

    any: bool = False


@contextmanager
def same_random_numbers(device: torch.device) -> Iterator[Drawn]:
    """Restore the state of all random generators of this process at the end, users' generators included."""
    drawn = Drawn()
    state = random_state(device)
    # by type: `isinstance` asks for `__class__`, which some objects answer with a warning
    generators = [item for item in gc.get_objects() if issubclass(type(item), random.Random | np.random.Generator)]
    generators = [item for item in generators if not isinstance(item, random.SystemRandom)]
    states = [_state(item) for item in generators]  # copies, both of them
    try:
        yield drawn
    finally:
        drawn.any = not _same([state, states], [random_state(device), [_state(item) for item in generators]])
        for generator, kept in zip(generators, states, strict=True):
            if isinstance(generator, random.Random):
                generator.setstate(kept)
            else:
                generator.bit_generator.state = kept
        set_random_state(state, device)


def _same(before: Any, after: Any) -> bool:
    pairs = zip(tree_leaves(before), tree_leaves(after), strict=True)
    arrays = (Tensor, np.ndarray)
    return all(np.array_equal(one, other) if isinstance(one, arrays) else one == other for one, other in pairs)


def _state(generator: Any) -> Any:
    return generator.getstate() if isinstance(generator, random.Random) else generator.bit_generator.state

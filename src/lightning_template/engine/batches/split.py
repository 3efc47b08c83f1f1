"""The split of samples into training, validation and test set."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_template.engine.batches.checks import check_samples
from lightning_template.engine.batches.inputs import Inputs, Samples

TEST_FRACTION = 0.1
"""Fraction of the samples that becomes the test set where the data have none and no other is asked for."""


def split_indices(num_samples: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split samples in two at random, a pure function of the arguments.

    Args:
        num_samples: Number of samples.
        fraction: Fraction in [0, 1) of the samples in the second part, rounded to a whole number of samples.
        seed: Seed of the split.

    Returns:
        The sorted indices of the first and of the second part.

    Raises:
        ValueError: If a part that must have samples would have none.

    Example:
        >>> [len(part) for part in split_indices(100, 0.2, seed=0)]
        [80, 20]
    """
    num_second = round(num_samples * fraction)
    if num_second == num_samples or (fraction and not num_second):
        raise ValueError(f"a fraction of {fraction} of {num_samples} samples leaves a part empty")
    permutation = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed))
    return permutation[num_second:].sort().values, permutation[:num_second].sort().values


class Part(NamedTuple):
    """Samples at some indices: training, validation or test set.

    Attributes:
        inputs: Stored inputs `(N, ...)`, which several parts may share.
        targets: Their targets `(N, ...)`.
        indices: Indices of the samples in this part.
    """

    inputs: Inputs
    targets: Tensor
    indices: Tensor


class Parts(NamedTuple):
    """Training, validation and test set; the last two may be empty."""

    train: Part
    val: Part
    test: Part

    def to(self, device: torch.device) -> "Parts":
        """Return the parts with their tensors on a device; samples that parts share are copied once.

        Raises:
            ValueError: If inputs are in files.
        """
        stored = {id(values): values for part in self for values in (part.inputs, part.targets)}
        copies: dict[int, Tensor] = {}
        for key, values in stored.items():
            if not isinstance(values, Tensor):
                raise ValueError(
                    f"`on_device` needs inputs in memory, got {values.nbytes} bytes that are read from files"
                )
            copies[key] = values.to(device)
        return Parts(*(Part(copies[id(part.inputs)], copies[id(part.targets)], part.indices) for part in self))


def split(
    train: Samples,
    test: Samples | None,
    val: Samples | None = None,
    *,
    test_fraction: float | None,
    val_fraction: float,
    val_on_test: bool,
    seed: int,
) -> Parts:
    """Check samples, and split the first ones where the data have no test or validation set.

    Args:
        train: Samples of training, and of the sets that are None.
        test: Samples of the test.
        val: Samples of the validation.
        test_fraction: Fraction of `train` for the test; `TEST_FRACTION` if not given.
        val_fraction: Fraction of the samples left after that for the validation.
        val_on_test: Whether the test set serves for validation.
        seed: Seed of the split.

    Raises:
        ValueError: If samples fail a check, a part would be empty, or `test_fraction` meets a test set.
    """
    if test is not None and test_fraction is not None:
        raise ValueError(f"the data have a test set: leave out `test_fraction`, got {test_fraction}")
    for name, samples in (("training", train), ("test", test), ("validation", val)):
        if samples is not None:
            check_samples(name, *samples)
    indices = torch.arange(len(train[0]))
    test_part, indices = _take(test, train, indices, TEST_FRACTION if test_fraction is None else test_fraction, seed)
    val_part = test_part
    if not val_on_test:
        val_part, indices = _take(val, train, indices, val_fraction, seed)
    return Parts(Part(*train, indices), val_part, test_part)


def _take(samples: Samples | None, train: Samples, indices: Tensor, fraction: float, seed: int) -> tuple[Part, Tensor]:
    """Return a part of given samples, or else of a fraction of the training samples, and the indices that are left."""
    if samples is not None:
        return Part(*samples, torch.arange(len(samples[0]))), indices
    left, taken = split_indices(len(indices), fraction, seed)
    return Part(*train, indices[taken]), indices[left]

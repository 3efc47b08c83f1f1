"""Checks of the data."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, RandomSampler, Subset, WeightedRandomSampler

from lightning_template.testing.batches import first_batches, leaves_of, num_samples, pair
from lightning_template.testing.checks.comparing import equal
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.samples import second_data
from lightning_template.testing.subject import MAX_BATCHES, Subject

MAX_HASHED = 20_000
"""Number of samples of a set that are compared with those of another."""


def same_seed_same_batches(subject: Subject) -> None:
    """Data modules built with the same seed serve the same batches."""
    found_in = []
    for data in (subject.data, subject.once(second_data)):
        seed_all(0)
        found_in.append(first_batches(data.train_dataloader(), MAX_BATCHES))
    one, other = found_in
    for number, (found, expected) in enumerate(zip(one, other, strict=True)):
        if not all(map(_same, leaves_of(found), leaves_of(expected))):
            raise CheckFailed(
                f"the same seed gives another training batch {number}, so no run can be repeated: the split or the "
                "order is drawn from a generator that no seed reaches, or follows a set or a folder listing"
            )


def sets_are_disjoint(subject: Subject) -> None:
    """Validation and test have no sample of the training set, beyond what the data themselves repeat.

    Samples are compared as loaders serve them, inputs and targets; one that is changed at random is not recognised.
    """
    train_loader = subject.data.train_dataloader()
    train = Counter(fingerprints(train_loader))
    num_train = train.total()
    repeated = sum(count for count in train.values() if count > 1) / max(1, num_train)
    loaders = [(stage, loader) for stage in ("val", "test") for loader in subject.loaders(subject.data, stage)]
    validation: set[bytes] = set()
    explicit = getattr(subject.data, "val_on_test", False)  # somebody has asked for it
    num_val = sum(stage == "val" for stage, _ in loaders)  # of several, one may be the test set on purpose
    for stage, loader in loaders:
        _require_disjoint_subsets(train_loader, loader, stage)
        samples = list(fingerprints(loader))
        if stage == "val":
            validation.update(samples)
        elif num_val == 1 and not explicit and _serve_the_same(validation, samples):
            raise CheckFailed(
                f"all {len(samples)} test samples are validation samples too, so the test tells nothing that "
                "validation did not: often one loader served for both"
            )
        common = [position for position, sample in enumerate(samples) if sample in train]
        # As many as the training set has twice are to be expected by chance, give or take three standard deviations.
        chance = len(samples) * repeated
        if len(common) > chance + 3 * math.sqrt(chance * (1 - repeated)) + 0.005 * len(samples):
            raise CheckFailed(
                f"{len(common)} of {len(samples)} {stage} samples are in the training set too (positions "
                f"{', '.join(map(str, common[:3]))} ...), so scores tell what was memorised: often one set used twice, "
                "or a split drawn again for each stage without a seed"
            )


def _serve_the_same(validation: set[bytes], samples: list[bytes]) -> bool:
    """Tell whether a test set repeats the validation set, and not merely a few values that all samples have."""
    return len(samples) > 1 and validation.issuperset(samples) and 2 * len(set(samples)) > len(samples)


def training_is_shuffled(subject: Subject) -> None:
    """Training samples do not come sorted by their classes."""
    labels, num_batches = [], 0
    for batch in islice(subject.data.train_dataloader(), MAX_HASHED):
        parts = pair(batch)
        if parts is None or parts[1].is_floating_point() or parts[1].ndim != 1:
            raise CheckSkipped("known only for targets that are classes")
        labels += parts[1].tolist()
        num_batches += 1
        num_blocks = 1 + sum(one != other for one, other in pairwise(labels))
        if num_blocks > len(set(labels)) or len(labels) > MAX_HASHED:
            return
    if len(labels) >= 8 and len(set(labels)) > 1 and num_batches > 1:
        raise CheckFailed(
            f"the {len(labels)} training samples come sorted by their {len(set(labels))} classes, one after the other, "
            "so most batches have one class alone: set `shuffle=True`"
        )


def evaluation_is_whole(subject: Subject) -> None:
    """Loaders for validation and test drop no samples."""
    for stage in ("val", "test"):
        for loader in subject.loaders(subject.data, stage):
            drawn = getattr(loader, "sampler", None)
            if isinstance(drawn, RandomSampler | WeightedRandomSampler) and drawn.replacement:
                raise CheckFailed(
                    f"{stage} samples are drawn with repetition, {len(drawn)} of them, so scores are those of others: "
                    "samplers that repeat samples belong to training alone"
                )
            sampler = getattr(loader, "batch_sampler", None)
            if not isinstance(sampler, BatchSampler) or not sampler.drop_last:
                continue
            total = len(sampler.sampler)  # type: ignore[arg-type]
            if left_out := total % sampler.batch_size:
                raise CheckFailed(
                    f"{left_out} of {total} {stage} samples are left out, so scores are those of others: set "
                    "`drop_last=False`"
                )


def _require_disjoint_subsets(train: Any, other: Any, stage: str) -> None:
    """Compare the indices of two parts of one dataset, whose samples may be changed at random."""
    one, two = (getattr(loader, "dataset", None) for loader in (train, other))
    if isinstance(one, Subset) and isinstance(two, Subset) and one.dataset is two.dataset:
        common = sorted(set(map(int, one.indices)) & set(map(int, two.indices)))
        if common:
            raise CheckFailed(
                f"{len(common)} of {len(two)} {stage} samples are in the training set too (indices "
                f"{', '.join(map(str, common[:3]))} ... of the dataset that both are parts of), so scores tell "
                "what was memorised"
            )


def _same(found: Any, expected: Any) -> bool:
    """Tell whether leaves of batches are equal; objects whose class defines no `==` are not compared."""
    if isinstance(found, Tensor):
        return isinstance(expected, Tensor) and equal(found, expected)
    if isinstance(found, np.ndarray):
        return np.array_equal(found, expected)
    return _compares_identities(found) or bool(found == expected)


def _compares_identities(value: Any) -> bool:
    return not any("__eq__" in vars(base) for base in type(value).__mro__[:-1])  # the last one is `object`


def fingerprints(loader: Iterable[Any]) -> Iterator[bytes]:
    """Yield a digest of each sample of a loader, up to `MAX_HASHED`."""
    return islice(_fingerprints(loader), MAX_HASHED)


def _fingerprints(loader: Iterable[Any]) -> Iterator[bytes]:
    if isinstance(loader, dict | list) and loader:
        raise CheckSkipped("there are several loaders for training, and the checks know one")
    for batch in loader:
        size = num_samples(batch)
        columns = [
            leaf.contiguous().reshape(size, -1).view(torch.uint8).numpy()
            if isinstance(leaf, Tensor)
            else [text.encode() for text in leaf]
            for leaf in leaves_of(batch)
        ]
        for row in range(size):
            digest = hashlib.blake2b(digest_size=16)
            for column in columns:
                digest.update(column[row])
            yield digest.digest()

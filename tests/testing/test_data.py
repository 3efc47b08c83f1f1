"""Where the check of the sets draws the line, on samples that are numbers."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from lightning_template.testing.checks.data import sets_are_disjoint
from lightning_template.testing.exceptions import CheckFailed
from lightning_template.testing.subject import Subject


def subject(train: Any, val: Any, test: Any = ()) -> Subject:
    data = SimpleNamespace(train_dataloader=lambda: train)
    return cast(Subject, SimpleNamespace(data=data, loaders=lambda _, stage: {"val": [val], "test": [test]}[stage]))


def numbers(*values: int) -> tuple[Any, ...]:
    """Return batches of samples with two numbers each, of which the second one alone tells samples apart."""
    pairs = torch.tensor([[7, value] for value in values])
    return tuple([part[:, :1], part[:, 1:]] for part in torch.split(pairs, 3))


OTHERS = range(1000, 2000)
TWICE = [*range(25), *range(25), *range(100, 150)]
"""Half of the samples are there twice."""


@pytest.mark.parametrize(
    ("train", "common", "num_val", "passes"),
    [
        (range(100), 0, 200, True),
        (range(100), 1, 200, True),  # half a percent
        (range(100), 2, 200, False),
        (TWICE, 65, 100, True),  # 50 expected, three standard deviations of 5, half a percent
        (TWICE, 66, 100, False),
    ],
)
@pytest.mark.parametrize("stage", ["val", "test"])
def test_samples_in_common(stage: str, train: Any, common: int, num_val: int, passes: bool) -> None:
    other = numbers(*OTHERS[: num_val - common], *list(train)[-common:][:common])
    seen = subject(numbers(*train), **({"val": []} | {stage: other}))
    if passes:
        sets_are_disjoint(seen)
        return
    first = num_val - common
    message = rf"^{common} of {num_val} {stage} samples .*\(positions {first}, {first + 1}"
    with pytest.raises(CheckFailed, match=message):
        sets_are_disjoint(seen)


@pytest.mark.parametrize("is_one", [True, False])
def test_indices_in_common_count_in_one_dataset_alone(is_one: bool) -> None:
    one = TensorDataset(torch.arange(40))
    other = one if is_one else TensorDataset(torch.arange(100, 140))
    loaders = [DataLoader(Subset(one, range(20))), DataLoader(Subset(other, [30, 19, 2, 11, 35]))]
    if is_one:
        with pytest.raises(CheckFailed, match=r"^3 of 5 val samples .*\(indices 2, 11, 19 \.\.\. of the dataset"):
            sets_are_disjoint(subject(*loaders))
    else:
        sets_are_disjoint(subject(*loaders))
    sets_are_disjoint(subject(loaders[0], DataLoader(TensorDataset(torch.arange(50, 60)))))


@pytest.mark.parametrize(
    ("test", "asked_for", "passes"),
    [
        ([3, 1, 2, 4], False, False),
        ([3, 1, 2, 4], True, True),
        ([3, 1, 2, 9], False, True),
        ([3, 3, 3, 1, 1, 1], False, True),  # few values, which all sets have
        ([3, 3, 1, 2], False, False),
    ],
)
def test_a_test_set_that_is_the_validation_set(test: list[int], asked_for: bool, passes: bool) -> None:
    seen = subject(numbers(*OTHERS), numbers(1, 2, 3, 4), numbers(*test))
    vars(seen.data)["val_on_test"] = asked_for
    if passes:
        sets_are_disjoint(seen)
        return
    with pytest.raises(CheckFailed, match=rf"^all {len(test)} test samples are validation samples too"):
        sets_are_disjoint(seen)

"""What kind of samples and predictions figures are drawn of."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from lightning_template.engine.dashboard import kinds

A, B = torch.zeros(3, 2), torch.zeros(3)


@pytest.mark.parametrize(
    ("batch", "is_pair"),
    [
        ([A, B], True),
        ((A, B, "more"), True),
        ([A], False),
        (A, False),
        ({"a": A, "b": B}, False),
        ((A, ["cat"]), False),
        (("x", B), False),
    ],
)
def test_a_pair_is_two_tensors(batch: Any, is_pair: bool) -> None:
    found = kinds.pair(LightningModule(), batch)
    assert (found is not None) == is_pair
    if found is not None:
        assert found[0] is batch[0]
        assert found[1] is batch[1]


@pytest.mark.parametrize(
    ("shape", "targets", "expected"),
    [
        ((3, 2), [0, 1, 1], True),
        ((3,), [0, 1, 1], True),
        ((3,), [0, 1, 2], False),
        ((3, 2), [0, 1, 2], False),
        ((3, 2), [0, -1, 1], False),
        ((3, 2), [0.0, 1.0, 1.0], False),
        ((3, 2, 4), [0, 1, 1], False),
        ((3, 2), [[0], [1], [1]], False),
        ((0, 2), [], False),
        ((3, 1000), [0, 1, 999], True),
        ((3, 1001), [0, 1, 1], False),
    ],
)
def test_classification_has_an_index_for_each_row(shape: tuple[int, ...], targets: list[Any], expected: bool) -> None:
    given = torch.tensor(targets) if targets else torch.zeros(0, dtype=torch.long)
    assert kinds.is_classification(torch.zeros(shape), given) == expected


@pytest.mark.parametrize(
    ("predictions", "targets", "expected"),
    [
        (B, B, True),
        (torch.zeros(3, 1), torch.zeros(3, 1), True),
        (torch.zeros(3, 1), B, False),
        (A, A, False),
        (B, B.long(), False),
    ],
)
def test_numbers_are_one_for_each_sample(predictions: torch.Tensor, targets: torch.Tensor, expected: bool) -> None:
    assert kinds.are_numbers(predictions, targets) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b", "c"], ["a", "b", "c"]),
        (["a", "b", "c", "d"], ["a", "b", "c"]),
        (["a", "b"], ["0", "1", "2"]),
        ([3, 4, 5], ["3", "4", "5"]),
        ({0: "a", 1: "b", 2: "c"}, ["0", "1", "2"]),
        (None, ["0", "1", "2"]),
    ],
)
def test_names_of_classes_are_as_many_as_there_are(names: Any, expected: list[str]) -> None:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(class_names=names))
    assert kinds.class_names(trainer, 3) == expected
    assert kinds.class_names(SimpleNamespace(datamodule=None), 2) == ["0", "1"]  # type: ignore[arg-type]


def test_probabilities_are_of_both_classes() -> None:
    assert kinds.probabilities(torch.tensor([0.25, 1.0])).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert kinds.probabilities(A) is A

"""Batches of all kinds taken apart and put together, on small ones written out here."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_template.testing.batches import (
    ReplayLoader,
    copied,
    cut,
    forward_arguments,
    join,
    num_samples,
    pair,
    take,
)
from lightning_template.testing.exceptions import CheckSkipped

X, Y = torch.arange(10.0).reshape(5, 2), torch.arange(5)
BATCH: dict[str, Any] = {"x": X, "more": [Y, (X + 1,)]}


def rows(batch: Any) -> list[list[Any]]:
    return [batch["x"].tolist(), batch["more"][0].tolist(), batch["more"][1][0].tolist()]


def test_samples_are_counted() -> None:
    assert num_samples(BATCH) == num_samples(X) == num_samples((X, Y)) == 5
    odd: Any
    for odd in ((X, Y[:4]), torch.tensor(3.0), (X, "name"), (X, torch.tensor(1)), []):
        with pytest.raises(CheckSkipped, match="batches cannot be cut"):
            num_samples(odd)


def test_some_samples_in_an_order() -> None:
    assert rows(take(BATCH, [3, 0])) == [[[6.0, 7.0], [0.0, 1.0]], [3, 0], [[7.0, 8.0], [1.0, 2.0]]]
    with pytest.raises(CheckSkipped, match="batches cannot be cut"):
        take((X, Y[:4]), [0])


def test_batches_are_joined_and_cut() -> None:
    parts = cut(BATCH, [1, 3, 1])
    assert [num_samples(part) for part in parts] == [1, 3, 1]
    assert rows(join(parts)) == rows(BATCH)
    assert rows(join([parts[2], parts[0]])) == rows(take(BATCH, [4, 0]))
    with pytest.raises(CheckSkipped, match="their samples differ in shape"):
        join([(X, Y), (X[:, :1], Y)])
    with pytest.raises(CheckSkipped, match="batches cannot be cut"):
        join([(X, Y), (X, Y[:2])])


def test_a_copy_may_be_changed() -> None:
    batch: dict[str, Any] = {"x": X.clone(), "name": "a"}
    other = copied(batch)
    other["x"].add_(1)
    assert torch.equal(batch["x"], X)
    assert torch.equal(other["x"], X + 1)
    assert other["name"] == "a"


def test_pairs() -> None:
    for batch in ((X, Y), [X, Y], {"x": X, "y": Y}, {"name": "a", "label": Y, "image": X}, SimpleNamespace(x=X, y=Y)):
        found = pair(batch)
        assert found is not None
        assert (found[0] is X, found[1] is Y) == (True, True)
    for odd in (X, (X,), (X, Y, Y), {"x": X, "z": Y}, {"x": X, "z": X, "y": Y}, (X, "name")):
        assert pair(odd) is None


class One(LightningModule):
    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return x * scale


class Two(LightningModule):
    def forward(self, x: Tensor, /, y: Tensor, *args: Any, z: Tensor | None = None, **kwargs: Any) -> Tensor:
        return x + y


class Any_(LightningModule):  # noqa: N801
    def forward(self, *args: Any) -> Tensor:
        return X


@pytest.mark.parametrize(
    ("task", "batch", "expected"),
    [
        (One, (X, Y), [X]),
        (One, [X], [X]),
        (One, X, [X]),
        (One, {"x": X, "y": Y}, [X]),
        (One, {"inputs": X}, [{"inputs": X}]),
        (Two, (X, Y, Y), [X, Y]),
        (Two, {"y": Y, "x": X, "z": X}, [X, Y]),
        (Two, {"y": Y, "x": X}, [X, Y]),
        (Any_, (X, Y), [X]),
    ],
)
def test_forward_takes_its_required_arguments(task: type[LightningModule], batch: Any, expected: list[Any]) -> None:
    found = forward_arguments(task(), batch)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one is other or one == other


def test_recorded_batches_are_served_pass_by_pass() -> None:
    served = ReplayLoader([[X, X + 1], [X + 2, X + 3]])
    assert len(served) == 2
    passes = [[float(batch[0, 0]) for batch in served] for _ in range(3)]
    assert passes == [[0.0, 1.0], [2.0, 3.0], [2.0, 3.0]]
    for batch in ReplayLoader([[X]]):
        batch.add_(1)
    assert X[0, 0] == 0

"""What checks find in few samples, in classes that are rare, and in numbers of little precision."""

from typing import Any

import pytest
import torch
from mutants import Classifier, Points
from mutants_of_data import Noisy
from mutants_of_tasks import IgnoresAClass, Standard
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from lightning_template.testing.exceptions import CheckSkipped
from lightning_template.testing.running import run_check
from lightning_template.testing.samples import scan
from lightning_template.testing.subject import Subject


class StandardisedAgainInHalf(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(((inputs.half() - 0.4) / 0.3).float())


class RareClass(Points):
    """Two samples of class 1 among the first 16."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        targets = torch.tensor([1, 0, 2, 1, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2])
        self.train_set: Any = TensorDataset(torch.randn(16, 4), targets)

    def train_dataloader(self) -> Any:
        return DataLoader(self.train_set, self.batch_size)


class OneAugmentedBatch(Points):
    """The training set has one batch, and shares its transform with validation."""

    def samples(self) -> Dataset[Any]:
        return Noisy(super().samples())

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.train_set = Subset(self.samples(), range(9))


@pytest.mark.parametrize(
    ("check", "message", "task", "data"),
    [
        ("inputs_are_scaled_once", "normalises them again", StandardisedAgainInHalf, Standard),
        ("targets_meet_their_outputs", "of class 1 do not change the loss", IgnoresAClass, RareClass),
        ("evaluation_data_stay", "sample 0 of val", Classifier, OneAugmentedBatch),
    ],
)
def test_a_mistake_is_seen_in_few_samples(check: str, message: str, task: Any, data: Any) -> None:
    result = run_check(check, Subject(task, data))
    assert result.outcome == "failed", result.message
    assert message in result.message


X, Y = torch.arange(12.0).view(6, 2), torch.arange(6)


@pytest.mark.parametrize(
    ("batches", "number"),
    [
        ([(X, Y), (X, Y)], 12),
        ([(X, Y), (X[:4], Y)], 6),  # what is no pair of samples ends the table
        ([(X, Y), (X[:, :1], Y)], 6),
        ([(X, Y), X], 6),
    ],
)
def test_a_table_ends_before_what_does_not_fit(batches: list[Any], number: int) -> None:
    table = scan(iter(batches))
    assert torch.equal(table.inputs, torch.cat([X, X])[:number])
    assert torch.equal(table.targets, torch.cat([Y, Y])[:number])


@pytest.mark.parametrize("batch", [X, (X, Y, Y), (X, Y[:5])])
def test_batches_that_are_no_pairs_make_no_table(batch: Any) -> None:
    with pytest.raises(CheckSkipped, match="no pairs"):
        scan(iter([batch]))

"""What the checks of evaluation compute, against numbers worked out by hand."""

import pytest
import torch
from torch import Tensor

from lightning_template.testing.checks.metrics import recomputed

SCORES = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.4, 0.5, 0.1]])
NUMBERS = torch.tensor([1.0, 2.0, 3.0, 4.0])
ERRORS = {"mae": [2.0], "mse": [7.5], "rmse": [7.5**0.5]}  # of 1, 2, 0 and 5
RECALLS = [0.75, (1 + 1 + 0.5) / 3, 2 / 3, 2 / 3, 1.0]
"""Of all, the mean over classes, and without class 0, 1 and 2."""
QUARTERS = {"accuracy": RECALLS, "acc": RECALLS}


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        (NUMBERS, torch.tensor([2.0, 0.0, 3.0, 9.0]), ERRORS),
        (NUMBERS.view(2, 2), torch.tensor([[2.0, 0.0], [3.0, 9.0]]), ERRORS),
        (SCORES, torch.tensor([1, 0, 2, 2]), QUARTERS),
        (SCORES.T[None], torch.tensor([[1, 0, 2, 2]]), QUARTERS),
        (SCORES, torch.tensor([1.0, 0.0, 2.0, 2.0]), {}),
        (NUMBERS, torch.tensor([1.0, 0.0, 2.0]), {}),
        (SCORES[:, :1], torch.tensor([0, 2, 0, 0]), {}),
        (SCORES[:, :1], torch.tensor([0, 0, 0, 1]), {"accuracy": [0.5, 0.5], "acc": [0.5, 0.5]}),
        (
            torch.tensor([[-1.0, 2.0], [0.4, 0.6]]),
            torch.tensor([[0, 1], [0, 1]]),
            {"accuracy": [0.75, 0.5], "acc": [0.75, 0.5]},
        ),
        (SCORES, torch.tensor([[1], [0], [2], [2]]), {}),
    ],
)
def test_metrics_of_outputs_and_targets(outputs: Tensor, targets: Tensor, expected: dict[str, list[float]]) -> None:
    found = recomputed(outputs, targets)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert {round(value, 6) for value in found[name]} == {round(value, 6) for value in values}

"""The focal loss against torchvision, torch's own losses and a computation by hand."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from lightning_template.losses import FocalLoss
from lightning_template.tasks import ClassificationTask

OUTPUTS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 1.0, 1.0], [0.0, 4.0, -1.0]])
TARGETS = torch.tensor([0, 2, 1, 0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("weight", [None, [1.0, 1.0, 1.0], [0.5, 2.0, 3.0]])
def test_several_classes_by_hand(gamma: float, weight: list[float] | None) -> None:
    total = norm = 0.0
    for row, target in zip(OUTPUTS.double(), TARGETS.tolist(), strict=True):
        p = (row[target].exp() / row.exp().sum()).item()
        factor = weight[target] if weight else 1.0
        total -= factor * (1 - p) ** gamma * float(torch.tensor(p, dtype=torch.float64).log())
        norm += factor
    assert FocalLoss(gamma, weight)(OUTPUTS, TARGETS).item() == pytest.approx(total / norm, rel=1e-5)


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3)])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 2.0, 3.5])
def test_binary_is_that_of_torchvision(shape: tuple[int, ...], alpha: float | None, gamma: float) -> None:
    outputs, targets = 3 * torch.randn(shape, requires_grad=True), torch.randint(2, shape).float()
    expected = sigmoid_focal_loss(outputs, targets, -1 if alpha is None else alpha, gamma, reduction="mean")
    loss = FocalLoss(gamma, alpha=alpha)(outputs, targets)
    torch.testing.assert_close(loss, expected)
    (wanted,) = torch.autograd.grad(expected, outputs, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, outputs)[0], wanted)


@pytest.mark.parametrize("options", [{}, {"weight": [0.5, 2.0, 3.0]}, {"ignore_index": 0}])
def test_without_gamma_it_is_the_cross_entropy(options: dict[str, Any]) -> None:
    known: dict[str, Any] = {key: torch.tensor(value) if key == "weight" else value for key, value in options.items()}
    for outputs, targets in ((OUTPUTS, TARGETS), (torch.randn(4, 3, 5, 5), torch.randint(3, (4, 5, 5)))):
        expected = nn.CrossEntropyLoss(**known)(outputs, targets)
        torch.testing.assert_close(FocalLoss(0.0, **options)(outputs, targets), expected)


def test_padding_does_not_count() -> None:
    outputs, targets = torch.randn(2, 3, 4), torch.tensor([[0, 1, -100, -100], [2, 2, 1, -100]])
    counted = targets != -100
    flat = FocalLoss(2.0, [1.0, 2.0, 3.0])(outputs.transpose(1, 2)[counted], targets[counted])
    torch.testing.assert_close(FocalLoss(2.0, [1.0, 2.0, 3.0])(outputs, targets), flat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1}, "`gamma` must be finite and at least 0, got -1"),
        ({"gamma": float("nan")}, "`gamma` must be finite"),
        ({"alpha": 1.5}, r"`alpha` must lie in \[0, 1\], got 1.5"),
    ],
)
def test_arguments_out_of_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FocalLoss(**options)


def test_there_is_a_weight_for_each_class() -> None:
    with pytest.raises(ValueError, match="`weight` must have a value for each of 3 classes, got 2"):
        FocalLoss(weight=[1, 2])(OUTPUTS, TARGETS)


@pytest.mark.parametrize(("outputs", "targets"), [(torch.randn(4, 1), 2), (torch.randn(4), 2), (torch.randn(4, 3), 3)])
def test_a_task_hands_it_what_it_takes(outputs: torch.Tensor, targets: int) -> None:
    task = ClassificationTask(nn.Identity(), FocalLoss(2.0), targets)
    labels = torch.tensor([0, 1, 1, 0])
    if targets == 2:
        expected = sigmoid_focal_loss(outputs, labels.float().view_as(outputs), -1, 2.0, reduction="mean")
        assert torch.equal(task.predict(outputs), outputs.flatten().sigmoid())
    else:
        expected = FocalLoss(2.0)(outputs, labels)
    torch.testing.assert_close(task.compute_loss(outputs, labels), expected)


def test_the_weights_move_with_the_task() -> None:
    loss = FocalLoss(weight=[1, 2, 3]).to("meta")
    assert loss.weight is not None
    assert loss.weight.device.type == "meta"

"""Regression, checked against scikit-learn."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch import Tensor, nn
from torch.optim import SGD
from torchmetrics import R2Score

from lightning_template.tasks import RegressionTask

SILENT: dict[str, Any] = dict.fromkeys(
    ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
)


class Batches:
    """Samples in batches of 64; the last one holds a single sample, too few for an R2 of its own."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        assert len(inputs) % 64 == 1
        self.pairs = list(zip(torch.split(inputs, 64), torch.split(targets, 64), strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.pairs)


def make_task(loss: nn.Module | None = None) -> RegressionTask:
    return RegressionTask(nn.Identity(), loss or nn.MSELoss(), partial(SGD, lr=0.1))


def validate(task: RegressionTask, inputs: Tensor, targets: Tensor) -> dict[str, float]:
    trainer = Trainer(accelerator="cpu", **SILENT)
    (measured,) = trainer.validate(task, Batches(inputs, targets), verbose=False)
    return {name.removeprefix("val/"): value for name, value in measured.items()}


@pytest.mark.parametrize("shape", [(1025,), (1025, 1), (1025, 3)], ids=str)
@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss()], ids=lambda loss: type(loss).__name__)
def test_metrics_and_losses_are_those_of_sklearn(shape: tuple[int, ...], loss: nn.Module) -> None:
    targets = torch.randn(shape) * torch.arange(1.0, shape[-1] + 1) + 1  # columns of different spread
    outputs = targets + torch.randn(shape)
    mae, mse = mean_absolute_error(targets, outputs), mean_squared_error(targets, outputs)
    expected = {"mae": mae, "mse": mse, "r2": r2_score(targets, outputs)}
    expected["loss"] = mse if isinstance(loss, nn.MSELoss) else mae
    assert validate(make_task(loss), outputs, targets) == pytest.approx(expected, rel=1e-4)


def test_r2_is_right_far_from_zero() -> None:
    targets = torch.randn(1025, 1) + 10_000
    outputs, task = targets + 0.3 * torch.randn(1025, 1), make_task()
    for _ in range(2):  # and stays right when the metric is reset
        assert validate(task, outputs, targets)["r2"] == pytest.approx(r2_score(targets, outputs), abs=1e-4)
    single = R2Score()
    for output, target in zip(torch.split(outputs, 64), torch.split(targets, 64), strict=True):
        single.update(output, target)
    assert abs(single.compute().item() - r2_score(targets, outputs)) > 0.01


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(5), r"floating point and have the outputs' shape \(5, 1\), got torch.float32 of shape \(5,\)"),
        (torch.zeros(5, 2), r"the outputs' shape \(5, 1\), got torch.float32 of shape \(5, 2\)"),
        (torch.zeros(5, 1).long(), r"floating point .* shape \(5, 1\), got torch.int64 of shape \(5, 1\)"),
    ],
    ids=["(N,)", "(N, 2)", "integers"],
)
def test_wrong_shapes_and_dtypes_are_refused(targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task().training_step((torch.zeros(5, 1), targets), 0)


def test_a_column_is_not_matched_with_a_row() -> None:
    with pytest.raises(ValueError, match=r"shape \(5,\), got torch.float32 of shape \(5, 1\)"):
        make_task().training_step((torch.zeros(5), torch.zeros(5, 1)), 0)


def test_torch_broadcasts_what_is_refused() -> None:
    values = torch.arange(5.0)
    with pytest.warns(UserWarning, match="Using a target size"):
        loss = nn.MSELoss()(values.unsqueeze(1), values)
    assert loss.item() == pytest.approx(4)  # of all 25 pairs, where each prediction is perfect


def test_predictions_are_the_outputs() -> None:
    outputs, targets = torch.randn(2, 5, 1)
    table = make_task().predict_step((outputs, targets), 0)
    assert list(table) == ["value", "target"]
    assert torch.equal(table["value"], outputs)
    assert torch.equal(table["target"], targets)


def test_r2_of_one_sample_is_not_a_number() -> None:
    task = RegressionTask(nn.Identity(), nn.MSELoss(), partial(SGD, lr=0.1))
    task.val_measures.metrics.update(torch.ones(1, 1), torch.zeros(1, 1))
    scores = task.val_measures.metrics.compute()
    assert scores["val/r2"].isnan()
    assert scores["val/mae"] == 1

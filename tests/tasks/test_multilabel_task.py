"""Several labels, checked against scikit-learn."""

from functools import partial

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from lightning_template.tasks import MultilabelTask


def make_task(num_labels: int = 3) -> MultilabelTask:
    return MultilabelTask(nn.Identity(), nn.BCEWithLogitsLoss(), num_labels, optimizer=partial(torch.optim.SGD))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_loss_and_metrics_are_those_of_sklearn(dtype: torch.dtype) -> None:
    outputs, targets = torch.randn(200, 3), torch.rand(200, 3) < torch.tensor([0.1, 0.5, 0.8])
    task = make_task()
    for part in zip(torch.split(outputs, 64), torch.split(targets.to(dtype), 64), strict=True):
        task.validation_step(part, 0)
    found = {name.removeprefix("val/"): metric.compute().item() for name, metric in task.val_measures.results().items()}
    predicted = outputs > 0
    expected = {
        "loss": binary_cross_entropy(outputs.sigmoid(), targets.float()).item(),
        "accuracy": (predicted == targets).float().mean().item(),
        "precision": precision_score(targets, predicted, average="macro"),
        "recall": recall_score(targets, predicted, average="macro"),
        "f1": f1_score(targets, predicted, average="macro"),
        "f1_micro": f1_score(targets, predicted, average="micro"),
        "exact_match": accuracy_score(targets, predicted),  # of rows that are wholly right
    }
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("outputs", "targets", "got"),
    [
        (torch.zeros(5, 3), torch.zeros(5), r"\(5, 3\) and \(5,\)"),
        (torch.zeros(5, 2), torch.zeros(5, 2), r"\(5, 2\) and \(5, 2\)"),
        (torch.zeros(5, 1), torch.zeros(5, 3), r"\(5, 1\) and \(5, 3\)"),
    ],
)
def test_other_shapes_are_refused(outputs: Tensor, targets: Tensor, got: str) -> None:
    with pytest.raises(ValueError, match=rf"must be \(N, 3\), for `num_labels` 3, got {got}"):
        make_task().training_step((outputs, targets), 0)


def test_targets_that_are_neither_0_nor_1_are_refused() -> None:
    with pytest.raises(ValueError, match="targets must be 0 or 1, got 0 to 2"):
        make_task().training_step((torch.zeros(2, 3), torch.tensor([[0, 1, 2], [0, 0, 0]])), 0)


def test_one_label_is_no_task_of_several() -> None:
    with pytest.raises(ValueError, match="`num_labels` must be at least 2, got 1"):
        make_task(1)


def test_the_table_has_a_column_for_each_label() -> None:
    table = make_task().predict_step((torch.tensor([[0.0, 2.0, -2.0]]), torch.tensor([[1, 1, 0]])), 0)
    assert table["prediction"].tolist() == [[0, 1, 0]]
    assert table["probability_of"][0].tolist() == pytest.approx([0.5, 0.8808, 0.1192], abs=1e-4)
    assert table["target"].tolist() == [[1, 1, 0]]


def test_figures_show_the_worst_mistakes_first() -> None:
    targets = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0]])
    predictions = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.1, 0.1], [0.9, 0.2, 0.1]])
    figures = make_task().figures(torch.rand(3, 1, 4, 4), predictions, targets)
    texts = [(text.get_text(), text.get_color()) for text in figures["images/worst mistakes"].axes[0].texts]
    assert texts == [("true: 0, 1\n0", "tab:red"), ("true: 0\n0", "black"), ("true: none\nnone", "black")]
    bars = [text.get_text() for text in figures["labels/f1"].axes[0].texts]
    assert bars == ["1.000", "0.000", "0.000"]  # labels 1 and 2 were never predicted
    assert list(make_task().figures(torch.rand(3, 4), predictions, targets)) == ["labels/f1"]

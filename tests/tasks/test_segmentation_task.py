"""Segmentation, checked against scikit-learn over pixels."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from lightning_template.tasks import SegmentationTask


def make_task(loss: nn.Module | None = None, num_classes: int = 3) -> SegmentationTask:
    return SegmentationTask(
        nn.Identity(),
        loss or nn.CrossEntropyLoss(),
        num_classes=num_classes,
        optimizer=partial(torch.optim.SGD, lr=0.1),
    )


def measured(task: SegmentationTask) -> dict[str, float]:
    results = task.val_measures.results()
    return {name.removeprefix("val/"): metric.compute().item() for name, metric in results.items()}


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("shape", [(4, 6), (3, 2, 5)], ids=["image", "volume"])
def test_loss_and_metrics_are_those_of_sklearn(num_classes: int, shape: tuple[int, ...]) -> None:
    outputs, targets = torch.randn(30, num_classes, *shape), torch.randint(num_classes, (30, *shape))
    task = make_task(num_classes=num_classes)
    for part in zip(torch.split(outputs, 8), torch.split(targets, 8), strict=True):
        task.validation_step(part, 0)
    true, found = targets.flatten(), outputs.argmax(1).flatten()
    expected = {
        "loss": nll_loss(outputs.log_softmax(1), targets).item(),
        "accuracy": accuracy_score(true, found),
        "iou": jaccard_score(true, found, average="macro"),
        "dice": f1_score(true, found, average="macro"),
    }
    assert measured(task) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ignore_index", [-100, 255])
def test_ignored_pixels_count_nowhere(ignore_index: int) -> None:
    outputs, targets = torch.randn(6, 3, 4, 4), torch.randint(3, (6, 4, 4))
    ignored = torch.rand(targets.shape) < 0.3
    task = make_task(nn.CrossEntropyLoss(ignore_index=ignore_index))
    task.validation_step((outputs, targets.masked_fill(ignored, ignore_index)), 0)
    true, found = targets[~ignored], outputs.argmax(1)[~ignored]
    expected = {
        "loss": nll_loss(outputs.log_softmax(1).movedim(1, -1)[~ignored], true).item(),
        "accuracy": accuracy_score(true, found),
        "iou": jaccard_score(true, found, average="macro"),
        "dice": f1_score(true, found, average="macro"),
    }
    assert measured(task) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4), "integers .*, got torch.float32"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2).long(), r"for each element, .* of shape \(2,\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4).long(), r"outputs of shape \(2, 3, 1, 4, 4\)"),
        (torch.zeros(2, 4, 4, 4), torch.zeros(2, 4, 4).long(), r"`num_classes` 3, got \(2, 4, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), torch.full((2, 4, 4), 3), "classes from 0 to 2, got 3 to 3"),
        (torch.zeros(2, 3, 4, 4), torch.tensor(2 * [4 * [[-100, 0, 5, 0]]]), "classes from 0 to 2, got 0 to 5"),
    ],
)
def test_what_does_not_fit_is_refused(outputs: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task().training_step((outputs, targets), 0)


def test_the_table_has_shares_and_pixels() -> None:
    classes = torch.tensor([[[0, 2], [2, 2]]])
    outputs = torch.eye(3)[classes].movedim(-1, 1)
    table = make_task().predict_step((outputs, torch.tensor([[[0, 1], [2, 2]]])), 0)
    assert table["share"].tolist() == [[0.25, 0.0, 0.75]]
    assert (table["prediction"], table["target"]) == (["0 2 2 2"], ["0 1 2 2"])
    assert list(make_task().predict_step(outputs, 0)) == ["share", "prediction"]


def test_figures_show_masks_and_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = torch.tensor([[[0, 1], [1, -100]]])
    found = torch.tensor([[[0, 1], [0, 2]]])
    task = make_task()
    task.trainer = SimpleNamespace(datamodule=SimpleNamespace(class_names=["sky", "tree", "road"]))  # type: ignore[assignment]
    figures: dict[str, Any] = task.figures(torch.rand(1, 1, 2, 2), torch.eye(3)[found].movedim(-1, 1), targets)
    dice = figures["classes/dice"].axes[0]
    assert [text.get_text() for text in dice.texts] == ["0.667", "0.667", "0.000"]
    assert [label.get_text() for label in dice.get_yticklabels()] == ["sky", "tree", "road"]
    (axes,) = figures["images/classes"].axes
    assert [text.get_text() for text in axes.texts] == ["true", "predicted", "sky", "tree", "road"]
    true, predicted = (torch.as_tensor(image.get_array()) for image in axes.images)
    assert torch.equal(true[0], predicted[0])
    assert not torch.equal(true[1, 0], predicted[1, 0])
    assert torch.equal(true[1, 1], predicted[1, 1])  # both unpainted: it does not count

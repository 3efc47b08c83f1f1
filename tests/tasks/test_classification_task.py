"""Classification, checked against scikit-learn and against itself in other shapes."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from torch import Tensor, nn
from torch.optim import SGD
from torchmetrics.classification import BinaryAccuracy

from lightning_template.networks import MLP
from lightning_template.tasks import ClassificationTask

SILENT: dict[str, Any] = dict.fromkeys(
    ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
)


class Batches:
    """Samples in batches of 64; the last one is smaller."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.pairs = list(zip(torch.split(inputs, 64), torch.split(targets, 64), strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.pairs)


def make_task(network: nn.Module, loss: nn.Module, num_classes: int) -> ClassificationTask:
    return ClassificationTask(network, loss, num_classes, optimizer=partial(SGD, lr=0.1))


def validate(task: ClassificationTask, inputs: Tensor, targets: Tensor) -> dict[str, float]:
    trainer = Trainer(accelerator="cpu", **SILENT)
    (measured,) = trainer.validate(task, Batches(inputs, targets), verbose=False)
    return {name.removeprefix("val/"): value for name, value in measured.items()}


def sklearn_scores(predictions: np.ndarray, targets: np.ndarray, average: str) -> dict[str, float]:
    shared = {"average": average, "zero_division": 0}
    return {
        "accuracy": accuracy_score(targets, predictions),
        "precision": precision_score(targets, predictions, **shared),
        "recall": recall_score(targets, predictions, **shared),
        "f1": f1_score(targets, predictions, **shared),
    }


def assert_scores(measured: dict[str, float], predictions: Tensor, targets: Tensor, average: str) -> None:
    expected = sklearn_scores(predictions.numpy(), targets.numpy(), average)
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()], ids=lambda loss: type(loss).__name__)
def test_uniform_logits_cost_log_10(loss: nn.Module) -> None:
    network = nn.LogSoftmax(dim=1) if isinstance(loss, nn.NLLLoss) else nn.Identity()
    task, logits = make_task(network, loss, 10), torch.full((200, 10), 3.0)
    targets = torch.arange(200) % 10
    measured = validate(task, logits, targets)
    assert measured["loss"] == pytest.approx(math.log(10), rel=1e-6)
    assert measured["accuracy"] == pytest.approx(0.1)
    torch.testing.assert_close(task.predict(task(logits)), torch.full((200, 10), 0.1))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_present", [10, 7])
def test_log_softmax_with_nll_is_logits_with_cross_entropy(seed: int, num_present: int) -> None:
    torch.manual_seed(seed)
    logits_network = MLP(4, [8], 10)
    log_network = MLP(4, [8], 10, last_activation=partial(nn.LogSoftmax, dim=1))
    log_network.load_state_dict(logits_network.state_dict())
    cross_entropy = make_task(logits_network, nn.CrossEntropyLoss(), 10)
    nll = make_task(log_network, nn.NLLLoss(), 10)
    inputs, targets = 5 * torch.randn(1003, 4), torch.randint(num_present, (1003,))
    with torch.no_grad():
        probabilities = logits_network(inputs).softmax(dim=1)
    for task in (cross_entropy, nll):
        measured = validate(task, inputs, targets)
        assert measured["loss"] == pytest.approx(-probabilities[range(1003), targets].log().mean().item(), rel=1e-5)
        assert_scores(measured, probabilities.argmax(dim=1), targets, "macro")
        table = task.predict_step((inputs, targets), 0)
        torch.testing.assert_close(task.predict(task(inputs)), probabilities)
        torch.testing.assert_close(table["probability"], probabilities.amax(dim=1))
        torch.testing.assert_close(table["probability_of"], probabilities)
        assert torch.equal(table["prediction"], probabilities.argmax(dim=1))
        assert torch.equal(table["target"], targets)


def test_the_mean_over_batches_would_be_another_f1() -> None:
    logits, targets = torch.randn(1003, 10), torch.randint(10, (1003,))
    measured = validate(make_task(nn.Identity(), nn.CrossEntropyLoss(), 10), logits, targets)
    pairs = zip(torch.split(logits.argmax(dim=1), 64), torch.split(targets, 64), strict=True)
    by_batch = [f1_score(target, prediction, average="macro", zero_division=0) for prediction, target in pairs]
    assert measured["f1"] != pytest.approx(np.mean(by_batch), abs=1e-3)


def binary_tasks(logits: Tensor) -> Iterator[tuple[ClassificationTask, Tensor]]:
    """Every way to say the same: the task, and inputs that its network makes such outputs of."""
    column = logits.unsqueeze(1)
    two = torch.cat([torch.zeros_like(column), column], dim=1)
    for one_value in (logits, column):
        yield make_task(nn.Identity(), nn.BCEWithLogitsLoss(), 2), one_value
        yield make_task(nn.Sigmoid(), nn.BCELoss(), 2), one_value
    yield make_task(nn.Identity(), nn.CrossEntropyLoss(), 2), two
    yield make_task(nn.LogSoftmax(dim=1), nn.NLLLoss(), 2), two


@pytest.mark.parametrize("within", ["-10 and 10", "0 and 1"])
def test_binary_outputs_of_every_kind_mean_the_same(within: str) -> None:
    logits = torch.rand(1003) if within == "0 and 1" else 20 * torch.rand(1003) - 10
    targets = torch.randint(2, (1003,))
    probability = torch.from_numpy(1 / (1 + np.exp(-logits.numpy().astype(np.float64)))).float()
    truth = torch.where(targets == 1, probability, 1 - probability)
    num_tasks = 0
    for task, inputs in binary_tasks(logits):
        measured = validate(task, inputs, targets)
        assert measured["loss"] == pytest.approx(-truth.log().mean().item(), rel=1e-4)
        assert_scores(measured, (logits > 0).long(), targets, "binary")
        torch.testing.assert_close(task.predict(task(inputs)), probability)
        table = task.predict_step((inputs, targets), 0)
        assert torch.equal(table["prediction"], (logits > 0).long())
        torch.testing.assert_close(table["probability"], torch.maximum(probability, 1 - probability))
        torch.testing.assert_close(table["probability_of"], torch.stack([1 - probability, probability], dim=1))
        num_tasks += 1
    assert num_tasks == 6


def test_torchmetrics_takes_logits_within_0_and_1_for_probabilities() -> None:
    logits, targets = torch.rand(1003), torch.randint(2, (1003,))
    expected = accuracy_score(targets, logits > 0)
    assert BinaryAccuracy()(logits, targets).item() != pytest.approx(expected, abs=1e-3)
    assert BinaryAccuracy()(logits.sigmoid(), targets).item() == pytest.approx(expected)


REFUSED: dict[str, tuple[int, tuple[int, ...], Tensor, str]] = {
    "too few outputs": (10, (5, 3), torch.zeros(5).long(), r"shape \(5, 10\) for 5 samples .* 10, got \(5, 3\)"),
    "one output": (10, (5, 1), torch.zeros(5).long(), r"shape \(5, 10\) for 5 samples .* 10, got \(5, 1\)"),
    "no class dimension": (10, (5,), torch.zeros(5).long(), r"shape \(5, 10\) for 5 samples .* 10, got \(5,\)"),
    "an image": (10, (5, 10, 2), torch.zeros(5).long(), r"shape \(5, 10\) for 5 samples .* 10, got \(5, 10, 2\)"),
    "other samples": (10, (6, 10), torch.zeros(5).long(), r"shape \(5, 10\) for 5 samples .* 10, got \(6, 10\)"),
    "binary": (2, (5, 3), torch.zeros(5).long(), r"\(5, 2\) or \(5,\) or \(5, 1\) for 5 samples .* 2, got \(5, 3\)"),
    "column": (10, (5, 10), torch.zeros(5, 1).long(), r"class indices \(N,\), got torch.int64 of shape \(5, 1\)"),
    "one-hot": (10, (5, 10), torch.zeros(5, 10).long(), r"class indices \(N,\), got torch.int64 of shape \(5, 10\)"),
    "float": (10, (5, 10), torch.zeros(5), r"class indices \(N,\), got torch.float32 of shape \(5,\)"),
    "float, binary": (2, (5,), torch.zeros(5), r"class indices \(N,\), got torch.float32 of shape \(5,\)"),
}


@pytest.mark.parametrize(("num_classes", "shape", "targets", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_shapes_and_dtypes_are_refused(
    num_classes: int, shape: tuple[int, ...], targets: Tensor, message: str
) -> None:
    task = make_task(nn.Identity(), nn.CrossEntropyLoss(), num_classes)
    with pytest.raises(ValueError, match=message):
        task.training_step((torch.zeros(shape), targets), 0)


def test_labels_of_other_classes_are_refused() -> None:
    task = make_task(nn.Identity(), nn.BCEWithLogitsLoss(), 2)
    labels = torch.tensor([1, 2, 1, 2])  # the loss itself takes them, and learns nonsense
    assert nn.BCEWithLogitsLoss()(torch.zeros(4), labels.float()).isfinite()
    with pytest.raises(RuntimeError, match=r"expected only the following values \[0, 1\]"):
        validate(task, torch.zeros(4), labels)


@pytest.mark.parametrize("num_classes", [1, 0, -1])
def test_fewer_than_two_classes_are_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=f"`num_classes` must be at least 2, got {num_classes}"):
        make_task(nn.Identity(), nn.CrossEntropyLoss(), num_classes)


def test_a_misspelt_argument_is_an_error() -> None:
    options: dict[str, Any] = {"optimizer": SGD, "num_class": 3}
    with pytest.raises(TypeError, match="num_class'"):
        ClassificationTask(nn.Identity(), nn.CrossEntropyLoss(), 3, **options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_largest_output_is_the_most_probable_class(dtype: torch.dtype) -> None:
    task = ClassificationTask(nn.Identity(), nn.CrossEntropyLoss(), num_classes=3)
    outputs = torch.tensor([[0.0, 4.0, 4.03125], [4.03125, 4.0, 0.0]], dtype=dtype)
    assert outputs[0, 1] < outputs[0, 2]
    assert task.predict(outputs).argmax(1).tolist() == [2, 0]
    assert task.predict(outputs).dtype == torch.promote_types(dtype, torch.float32)
    assert len({*task.predict(outputs)[0].tolist()}) == 3

"""Where each check of training draws the line, on losses, outputs and gradients written out here."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lightning_template.testing.checks import gradients, hardware, training
from lightning_template.testing.checks import losses as losses_module
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0], [1.0, -2.0, 0.0], [-1.0, 2.0, 0.0]])
TARGETS = torch.tensor([1, 2, 0, 2])
NOBODY = cast(Trainer, None)


def subject(losses: list[float], outputs: Tensor = LOGITS, targets: Any = TARGETS) -> Subject:
    """Return a subject whose steps have these losses, and whose `forward` these outputs in training."""

    def forward(task: None, batch: Any, *, training: bool) -> list[Tensor]:
        assert training
        return [outputs]

    batches = [(torch.zeros(len(targets), 2), targets)] * 3
    seen = SimpleNamespace(
        task=lambda: None,
        train_batches=batches,
        outputs=forward,
        losses=lambda *_, **__: losses,
        fit=lambda *_, **__: SimpleNamespace(optimizers=[]),
        transferred=lambda _, batch: batch,
    )
    seen.once = lambda make: make(seen)
    return cast(Subject, seen)


def require(passes: bool, check: Callable[[Subject], None], seen: Subject, message: str) -> None:
    if passes:
        check(seen)
    else:
        with pytest.raises((CheckFailed, CheckAdvised), match=message):
            check(seen)


@pytest.mark.parametrize(
    ("losses", "passes"),
    [([1.0, 2.0], True), ([1.0, math.inf], False), ([1.0, -math.inf], False), ([0.0, math.nan], False)],
)
def test_losses_are_finite(losses: list[float], passes: bool) -> None:
    require(passes, training.loss_is_finite, subject(losses), f"the loss of step 1 is {losses[1]}")
    require(passes, hardware.bfloat16_loss_is_finite, subject(losses), "in bfloat16 the losses are")


FLAT = [1.0] * 15


@pytest.mark.parametrize(
    ("losses", "passes"),
    [
        ([*FLAT, 1.0, 1.0, 1.0, 1.0, 0.9995], True),
        ([*FLAT, 0.9995, 1.0, 1.0, 1.0, 1.0], True),
        ([*FLAT[1:], 0.9, 1.0, 1.0, 1.0, 1.0, 1.0], False),
        ([*FLAT, 1.0, 1.0, 1.0, 1.0, 0.99995], False),
        ([*FLAT, 1.1, 1.1, 1.1, 1.1, 1.1], False),
        ([-loss for loss in FLAT] + [-1.0005] * 5, True),
        ([-loss for loss in FLAT] + [-1.00005] * 5, False),
        ([9.0, *FLAT[1:], *[1.0] * 5], True),
        ([1000.0, *FLAT[1:], *[999.95] * 5], False),
        ([1e-3, *FLAT[1:], *[0.999e-3] * 5], True),
    ],
)
def test_the_loss_falls_by_more_than_rounding(losses: list[float], passes: bool) -> None:
    require(passes, training.overfits_one_batch, subject(losses), "20 steps on one batch take the loss from")


@pytest.mark.parametrize(("loss", "passes"), [(0.54, False), (0.56, True), (2.19, True), (2.21, False)])
def test_a_guess_has_the_logarithm_of_the_number_of_classes(loss: float, passes: bool) -> None:
    message = rf"the loss of an untrained task is {loss}, not ln 3 = 1\.099"
    require(passes, losses_module.loss_starts_as_expected, subject([loss, 1e9]), message)


PROBABILITIES = LOGITS.softmax(1)
WITH_ZEROS = torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.75, 0.25], [0.25, 0.75, 0.0], [0.5, 0.25, 0.25]])


@pytest.mark.parametrize(
    ("outputs", "loss", "passes"),
    [
        (PROBABILITIES, F.cross_entropy(PROBABILITIES, TARGETS).item(), False),
        (WITH_ZEROS, F.cross_entropy(WITH_ZEROS, TARGETS).item(), False),
        (PROBABILITIES.double(), F.cross_entropy(PROBABILITIES, TARGETS).item(), False),
        (PROBABILITIES, F.nll_loss(PROBABILITIES.log(), TARGETS).item(), True),
        (PROBABILITIES * 1.001, F.cross_entropy(PROBABILITIES * 1.001, TARGETS).item(), True),
        (PROBABILITIES - 0.1, F.cross_entropy(PROBABILITIES - 0.1, TARGETS).item(), True),
        (LOGITS, F.cross_entropy(LOGITS, TARGETS).item(), True),
        (PROBABILITIES, 1.0005 * F.cross_entropy(PROBABILITIES, TARGETS).item(), True),
    ],
)
def test_softmax_of_probabilities_is_seen(outputs: Tensor, loss: float, passes: bool) -> None:
    require(passes, losses_module.loss_starts_as_expected, subject([loss], outputs), "applies softmax to probabilities")


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        (LOGITS, TARGETS, TARGETS),
        (LOGITS.double(), TARGETS.int(), TARGETS),
        (LOGITS[:, :2], torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 0, 1])),
        (torch.ones(2, 3, 5), torch.ones(2, 5).long(), torch.ones(2, 5).long()),
        (LOGITS, TARGETS.view(2, 2), TARGETS),  # of a language model
        (LOGITS, TARGETS.float(), None),
        (LOGITS, torch.tensor([1, 3, 0, 2]), None),
        (LOGITS, torch.tensor([1, -1, 0, 2]), None),
        (LOGITS, TARGETS[:3], None),
        (LOGITS[:, :1], torch.zeros(4).long(), None),
        (LOGITS[:, 0], TARGETS, None),
        (torch.ones(2, 3, 5), torch.ones(2, 4).long(), None),
        (torch.ones(4, 3, 5), TARGETS, None),
        (LOGITS, [1, 2, 0, 2], None),
    ],
)
def test_scores_of_classes_are_told_from_other_outputs(outputs: Tensor, targets: Any, expected: Tensor | None) -> None:
    seen = subject([], outputs, targets)
    batch = seen.train_batches[0]
    if expected is None:
        with pytest.raises(CheckSkipped, match="known only for class indices"):
            losses_module.class_scores(seen, batch)
        return
    found, indices = losses_module.class_scores(seen, batch)
    assert (found.dtype, indices.dtype) == (torch.float32, torch.int64)
    assert torch.equal(found, outputs.float())
    assert torch.equal(indices, expected)


def test_gradients_are_told_by_name() -> None:
    layers: Any = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    seen = gradients.Gradients()
    for first, second in (([1.0, 2.0], 3.0), ([1.0, math.inf], 3.0), ([math.nan, 1.0], -math.inf)):
        layers[0].weight.grad = torch.tensor([first])
        layers[1].weight.grad = torch.full((2, 1), second)
        seen.on_after_backward(NOBODY, layers)
    assert seen.names == {"0.weight", "1.weight"}
    assert seen.not_finite == ["0.weight", "1.weight"]
    layers[1].weight.grad = torch.ones(2, 1)
    layers[0].weight.grad = None
    sound = gradients.Gradients()
    sound.on_after_backward(NOBODY, layers)
    assert (sound.names, sound.not_finite) == ({"1.weight"}, [])


def test_gradients_are_kept_step_by_step() -> None:
    layers: Any = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in layers]
    seen = gradients.StepGradients()
    for step in range(2):
        seen.on_train_batch_start(NOBODY, layers, None, step)
        for number, (layer, optimizer) in enumerate(zip(layers, optimizers, strict=True)):
            layer.weight.grad = torch.full((1, 1), 10.0 * step + number)
            seen.on_before_optimizer_step(NOBODY, layers, optimizer)
            layer.weight.grad.zero_()
    assert [[gradient.item() for gradient in step] for step in seen.steps] == [[0.0, 1.0], [10.0, 11.0]]

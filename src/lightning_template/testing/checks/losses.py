"""Checks of the loss of an untrained task."""

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from lightning_template.testing.batches import pair, replaced
from lightning_template.testing.checks.comparing import close
from lightning_template.testing.checks.graph import first_function, nodes_of
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject

TWICE = (
    (
        "LogSoftmax",
        "Softmax",
        "it applies softmax to probabilities, so it cannot fall to 0 and learning is slow: "
        "`CrossEntropyLoss` takes logits; leave out the softmax before it",
    ),
    (
        "BinaryCrossEntropyWithLogits",
        "Sigmoid",
        "it applies sigmoid to probabilities, so it cannot fall to 0: "
        "`BCEWithLogitsLoss` takes logits; leave out the sigmoid before it",
    ),
    (
        "NllLoss",
        "Softmax",
        "`NLLLoss` of outputs that are no logarithms of probabilities: use `CrossEntropyLoss`, or add a log-softmax",
    ),
)
"""Two functions, of which the outer one may not follow the inner one, by the names of their gradients."""


def loss_starts_as_expected(subject: Subject) -> None:
    """A classifier that knows nothing yet has a loss of about the logarithm of the number of classes."""
    batch = subject.train_batches[0]
    seen = Nodes()
    loss = subject.losses(subject.task(), [batch], callbacks=[seen])[0]
    if seen.found:
        raise CheckFailed(seen.found)
    _require_positive_sign(subject, batch, loss)
    if _is_of_yes_and_no(subject, batch, loss):
        return
    outputs, targets = class_scores(subject, batch)
    num_classes = outputs.shape[1]
    is_probabilities = outputs.min() >= 0 and close(outputs.sum(1), torch.ones_like(targets, dtype=outputs.dtype), 1e-4)
    probabilities = outputs if is_probabilities else outputs.softmax(1)
    right = F.nll_loss(probabilities.log(), targets).item()
    if _same(loss, F.cross_entropy(probabilities, targets).item()) and not _same(loss, right):
        raise CheckFailed(
            f"the loss, {loss:.6g}, applies softmax to probabilities, so it cannot fall to 0 and learns slowly: "
            "`CrossEntropyLoss` takes logits; leave out the softmax before it"
        )
    if _same(loss, F.nll_loss(outputs, targets).item()) and not _same(loss, right):
        raise CheckFailed(
            f"the loss, {loss:.6g}, is `NLLLoss` of outputs that are no logarithms of probabilities: use "
            "`CrossEntropyLoss`, or add a log-softmax"
        )
    expected = math.log(num_classes)
    if not expected / 2 <= loss <= expected * 2:
        raise CheckAdvised(
            f"the loss of an untrained task is {loss:.4g}, not ln {num_classes} = {expected:.4g}, that of a guess: "
            "a sum instead of a mean over samples, inputs that are not scaled, or a loss with further terms"
        )


class Nodes(Callback):
    """Looks for a function of probabilities that is meant for logits, in the graph of the loss."""

    found = ""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at pairs of functions, with nothing but changes of shape between them."""
        for node in nodes_of(loss):
            for outer, inner, why in TWICE:
                if node.name().startswith(outer) and first_function(node).startswith(inner):
                    self.found = f"the loss is {loss.item():.6g}: {why}"


def _require_positive_sign(subject: Subject, batch: Any, loss: float) -> None:
    """Require a loss not to be one of the usual ones times -1."""
    parts = pair(subject.transferred(subject.task(), batch)) if loss < 0 else None
    try:
        outputs = subject.outputs(subject.task(), batch, training=True)[0] if parts else None
    except CheckSkipped:
        return
    if parts is None or outputs is None:
        return
    known: dict[str, float] = {}
    if not parts[1].is_floating_point() and outputs.ndim == parts[1].ndim + 1 and len(outputs) == len(parts[1]):
        known["cross-entropy"] = F.cross_entropy(outputs.float(), parts[1].long()).item()
    if outputs.numel() == parts[1].numel():
        targets = parts[1].reshape(outputs.shape).to(outputs.dtype)
        known["mean squared error"] = F.mse_loss(outputs, targets).item()
        known["mean absolute error"] = F.l1_loss(outputs, targets).item()
        known["binary cross-entropy"] = F.binary_cross_entropy_with_logits(outputs, targets).item()
    for name, value in known.items():
        if _same(-loss, value):
            raise CheckFailed(
                f"the loss is {loss:.6g}, which is -1 times the {name}, {value:.6g}, so training makes outputs worse: "
                "a wrong sign"
            )


def class_scores(subject: Subject, batch: Any) -> tuple[Tensor, Tensor]:
    """Return outputs of a training step `(N, num_classes, ...)` and targets `(N, ...)`.

    Raises:
        CheckSkipped: If a batch is not such.
    """
    parts = pair(batch)
    if parts is not None and not parts[1].is_floating_point():
        outputs, *_ = subject.outputs(subject.task(), batch, training=True)
        targets = parts[1].flatten() if outputs.ndim == 2 else parts[1]  # of a language model
        if outputs.ndim == targets.ndim + 1 and outputs.shape[1] > 1 and outputs[:, 0].shape == targets.shape:
            num_classes = outputs.shape[1]
            if targets.min() >= 0 and targets.max() < num_classes:
                return outputs.float(), targets.long()
    raise CheckSkipped("known only for class indices and a score of each class")


def _is_of_yes_and_no(subject: Subject, batch: Any, loss: float) -> bool:
    """Tell whether each output is the logit of a target that is 0 or 1.

    Raises:
        CheckFailed: If it is a probability, and the loss takes it for a logit.
    """
    parts = pair(batch)
    if parts is None or not ((parts[1] == 0) | (parts[1] == 1)).all():
        return False
    outputs, *_ = subject.outputs(subject.task(), batch, training=True)
    if outputs.numel() != parts[1].numel():
        return False
    targets = parts[1].reshape(outputs.shape).float()
    larger = replaced(batch, parts[0], parts[0] * 1000) if parts[0].is_floating_point() else batch
    bounded = subject.outputs(subject.task(), larger, training=True)[0]
    is_probabilities = all(values.min() >= 0 and values.max() <= 1 for values in (outputs, bounded))
    probabilities = outputs if is_probabilities else outputs.sigmoid()
    if _same(loss, F.binary_cross_entropy_with_logits(probabilities, targets).item()):
        raise CheckFailed(
            f"the loss, {loss:.6g}, applies sigmoid to probabilities (from {probabilities.min():.3g} to "
            f"{probabilities.max():.3g}), so it cannot fall to 0: `BCEWithLogitsLoss` takes logits; leave out the "
            "sigmoid before it"
        )
    return True


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5)

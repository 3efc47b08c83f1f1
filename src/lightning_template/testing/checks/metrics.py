"""Checks of what validation logs."""

import math
import re
from typing import Any

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from lightning_template.engine.libraries.torch_private import DROPOUT, NORMALIZATION
from lightning_template.testing.batches import cut, num_samples, pair
from lightning_template.testing.callbacks import SameWeights
from lightning_template.testing.checks.comparing import close_numbers, require_close_metrics
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import logged

NO_MEANS = {"f1", "f1score", "precision", "recall", "auroc", "auc", "ap", "r2", "mcc", "kappa", "iou", "dice"}
"""Words in names of metrics that have one value for all samples, which is no mean over batches."""


def metrics_start_anew_each_epoch(subject: Subject) -> None:
    """The metrics of an epoch do not depend on the epoch before."""
    train = _halves(subject.train_samples)
    val = _halves(subject.val_samples) if subject.validates(subject.task()) else None
    after_others, after_the_same = (
        logged(
            subject.fit(
                subject.task(),
                [train[first]],
                [train[1]],
                val=[[val[first]], [val[1]]] if val else [],
                callbacks=[SameWeights()],
            )
        )
        for first in (0, 1)
    )
    if not after_others:
        raise CheckSkipped("nothing is logged")
    require_close_metrics(
        after_others,
        after_the_same,
        "after an epoch of other samples",
        "sums go on from the epoch before; reset them at each epoch's end, or log the metric object itself",
    )
    if val is not None:
        alone, again = (subject.validate(subject.task(), [val[1]], seed) for seed in (0, 1))
        steady = {name: value for name, value in alone.items() if close_numbers(value, again.get(name, math.nan))}
        others = subject.validate(subject.task(1), [val[0]])  # what stays is no measure, such as the epoch's number
        steady = {name: value for name, value in steady.items() if not close_numbers(value, others.get(name, math.nan))}
        require_close_metrics(
            {name: after_the_same[name] for name in steady if name in after_the_same},
            {name: value for name, value in steady.items() if name in after_the_same},
            "where training comes before validation",
            "one metric object counts samples of training and of validation; give each stage its own",
        )


def metrics_ignore_batch_size(subject: Subject) -> None:
    """What validation logs does not depend on how samples are put into batches, the last one of another size."""
    expected = _steady_metrics(subject)
    number = num_samples(subject.val_samples)
    if number < 3:
        raise CheckSkipped("validation has fewer than 3 samples")
    first = number * 2 // 5
    found = subject.measure(subject.task(), cut(subject.val_samples, [first, first, number - 2 * first]))
    means = _means_of_batches(subject, first)
    try:
        require_close_metrics(
            {name: found[name] for name in expected if name in found},
            expected,
            f"in batches of {first}, {first} and {number - 2 * first} samples instead of one",
            "a mean over batches is not the mean over samples if batches differ in size, and precision, F1 or R2 are "
            "no means at all: log the metric object itself",
        )
    except CheckFailed as failure:
        if _loss_is_mean_over_samples(subject) and any(_is_wrong(n, found, expected, means) for n in expected):
            raise
        raise CheckAdvised(
            f"{failure}. Each is the mean of what batches have, or the loss is no mean over samples either, so this "
            "may be meant, as with perplexity, contrastive losses, class weights or means over words"
        ) from failure


def _means_of_batches(subject: Subject, first: int) -> dict[str, float]:
    """Return the means over samples of what is logged of each batch alone."""
    samples = subject.val_samples
    number = num_samples(samples)
    parts = cut(samples, [first, first, number - 2 * first])
    logged_parts = [subject.measure(subject.task(), [part]) for part in parts]
    return {
        name: sum(
            num_samples(part) * values.get(name, math.nan) for part, values in zip(parts, logged_parts, strict=True)
        )
        / number
        for name in logged_parts[0]
    }


def _is_wrong(name: str, found: dict[str, float], expected: dict[str, float], means: dict[str, float]) -> bool:
    """Tell whether a value is neither that of all samples, nor Lightning's mean over batches of what is a mean."""
    if name not in found or close_numbers(found[name], expected[name]):
        return False
    may_be_mean = NO_MEANS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))
    return not (may_be_mean and close_numbers(found[name], means.get(name, math.nan)))


def metrics_agree_with_recomputation(subject: Subject) -> None:
    """Accuracies and errors that validation logs are those of all outputs and targets."""
    found = subject.measure(subject.task(), subject.val_batches)
    whole = subject.val_samples
    parts = pair(subject.transferred(subject.task(), whole))
    if parts is None:
        raise CheckSkipped("batches are no pairs of inputs and targets")
    (outputs, *_), targets = subject.outputs(subject.task(), whole), parts[1]
    expected = recomputed(outputs, targets)
    known = {
        name: expected[kind] for name in found for kind in expected if name.replace("/", "_").split("_")[-1] == kind
    }
    known = {name: values for name, values in known.items() if "top" not in name}
    if not known:
        raise CheckSkipped(
            "no metric is logged whose name ends in accuracy, acc, mae, mse or rmse and fits the outputs"
        )
    for name, values in known.items():
        if any(close_numbers(found[name], value * scale) for value in values for scale in (1, 100)):
            continue
        message = (
            f"`{name}` is {found[name]:.6g}, and {' or '.join(f'{value:.6g}' for value in values)} if computed from "
            "all outputs and targets"
        )
        if _are_yes_or_no(outputs, targets):
            _require_threshold_of_logits(subject, outputs, targets, found[name], message)
            raise CheckSkipped(f"{message}; the threshold is not known")
        if targets.is_floating_point():
            raise CheckAdvised(f"{message}: right if it is meant in other units, and otherwise often a broadcast")
        if not _are_class_scores(subject):
            raise CheckSkipped("outputs are not known to be a score of each class")
        raise CheckFailed(f"{message}: often an `argmax` over the wrong dimension, or a mean over batches")


def _are_yes_or_no(outputs: Tensor, targets: Tensor) -> bool:
    return outputs.numel() == targets.numel() and bool(((targets == 0) | (targets == 1)).all())


def _require_threshold_of_logits(
    subject: Subject, outputs: Tensor, targets: Tensor, value: float, message: str
) -> None:
    """Require logits not to be compared with 0.5, as probabilities are."""
    batch = subject.train_batches[0]
    parts = pair(subject.transferred(subject.task(), batch))
    (of_step, *_) = subject.outputs(subject.task(), batch, training=True)
    if parts is None or of_step.numel() != parts[1].numel():
        return
    wanted = F.binary_cross_entropy_with_logits(of_step, parts[1].reshape(of_step.shape).to(of_step.dtype)).item()
    halves = ((outputs > 0.5) == targets.reshape(outputs.shape).bool()).double().mean().item()
    if close_numbers(value, halves) and close_numbers(subject.losses(subject.task(), [batch])[0], wanted):
        raise CheckFailed(
            f"{message}: it counts logits above 0.5, whose probability is above 0.62; compare logits "
            "with 0, or `sigmoid` of them with 0.5"
        )


def recomputed(outputs: Tensor, targets: Tensor) -> dict[str, list[float]]:
    """Return accuracies or errors by the ends of their names, each as a list of what is meant by such a name."""
    if _are_yes_or_no(outputs, targets):
        right = (outputs > (0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0)) == targets.reshape(outputs.shape)
        shares = [right.double().mean().item(), right.reshape(len(right), -1).all(1).double().mean().item()]
        return {"accuracy": shares, "acc": shares}
    if targets.is_floating_point() and outputs.shape == targets.shape:
        errors = outputs.double() - targets
        mse = errors.square().mean().item()
        return {"mae": [errors.abs().mean().item()], "mse": [mse], "rmse": [mse**0.5]}
    if targets.is_floating_point() or outputs.ndim != targets.ndim + 1:
        return {}
    values: list[float] = []
    for dim in range(1, outputs.ndim):
        num_classes = outputs.shape[dim]
        if num_classes > 1 and outputs.movedim(dim, -1).shape[:-1] == targets.shape:
            values += _accuracies(outputs.argmax(dim), targets, num_classes)
    values = [*dict.fromkeys(values)]
    return {"accuracy": values, "acc": values} if values else {}


def _accuracies(labels: Tensor, targets: Tensor, num_classes: int) -> list[float]:
    """Return the accuracies over samples and over classes, without targets that are no class or, each in turn, one."""
    known = (targets >= 0) & (targets < num_classes)
    labels, targets = labels[known], targets[known]
    right = (labels == targets).double()
    classes = sorted(set(targets.tolist()))
    recalls = [right[targets == label].mean().item() for label in classes]
    num_seen = len(set(labels.tolist()) | set(classes))
    without = [right[targets != label].mean().item() for label in classes]  # `ignore_index`, such as padding
    return [right.mean().item(), *(sum(recalls) / number for number in {len(recalls), num_seen, num_classes}), *without]


def _are_class_scores(subject: Subject) -> bool:
    """Tell whether the loss is that of outputs which are a score, or the log of a probability, of each class."""
    batch = subject.train_batches[0]
    parts = pair(subject.transferred(subject.task(), batch))
    if parts is None:
        return False
    loss = subject.losses(subject.task(), [batch])[0]
    (outputs, *_), targets = subject.outputs(subject.task(), batch, training=True), parts[1].long()
    for dim in range(1, outputs.ndim):
        scores = outputs.movedim(dim, 1).float()
        fits = scores[:, 0].shape == targets.shape and targets.min() >= 0 and targets.max() < scores.shape[1]
        if fits and any(abs(of(scores, targets).item() - loss) < 1e-3 for of in (F.cross_entropy, F.nll_loss)):
            return True
    return False


def _steady_metrics(subject: Subject) -> dict[str, float]:
    """Return what is logged of all samples in one batch, but for what depends on random numbers."""
    one, other = (subject.measure(subject.task(), [subject.val_samples], seed) for seed in (0, 1))
    steady = {name: value for name, value in one.items() if close_numbers(value, other.get(name, value))}
    if not steady:
        raise CheckSkipped("what validation logs depends on random numbers")
    return steady


def _loss_is_mean_over_samples(subject: Subject) -> bool:
    """Tell whether the training loss of two halves is on average that of the whole, without dropout."""

    def loss(batch: Any) -> float:
        task = subject.task()
        for module in task.modules():
            if isinstance(module, DROPOUT | NORMALIZATION):
                module.eval()
        return subject.losses(task, [batch])[0]

    halves = _halves(subject.train_samples)
    whole = cut(subject.train_samples, [2 * num_samples(halves[0])])[0]
    one, other, both = map(loss, (*halves, whole))
    return abs((one + other) / 2 - both) <= 1e-4 * abs(both) + 1e-6


def _halves(whole: Any) -> list[Any]:
    half = num_samples(whole) // 2
    if half == 0:
        raise CheckSkipped("there are fewer than 2 samples")
    return cut(whole, [half, half])

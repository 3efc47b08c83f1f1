"""Checks of evaluation: modes, leaks, metrics, predictions."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from lightning_template.engine.libraries.torch_private import DROPOUT, NORMALIZATION, tree_leaves
from lightning_template.testing.batches import ReplayLoader, cut, first_batches, join, num_samples, pair, take
from lightning_template.testing.callbacks import SameWeights
from lightning_template.testing.checks.comparing import (
    close,
    close_numbers,
    list_names,
    require_close_metrics,
    require_equal_states,
    state,
)
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.subject import MAX_BATCHES, Subject
from lightning_template.testing.trainers import logged, quiet_trainer

WITH_MODES = (DROPOUT, NORMALIZATION)
"""Modules that do something else in training than in evaluation."""


def modes_are_right(subject: Subject) -> None:
    """Dropout and batch normalisation are in training mode in training, and in evaluation mode in validation."""
    task = subject.task()
    modules = {name: module for name, module in task.named_modules() if isinstance(module, WITH_MODES)}
    if not modules:
        raise CheckSkipped("neither dropout nor batch normalisation")
    meant_to_train = {name for name, module in modules.items() if module.training}
    wrong: dict[str, list[str]] = {"training": [], "evaluation": []}

    def look(name: str, module: nn.Module, _: Any) -> None:
        training = task.trainer.training
        if module.training != (training and name in meant_to_train):
            wrong["training" if training else "evaluation"].append(name)

    for name, module in modules.items():
        module.register_forward_pre_hook(partial(look, name))
    subject.fit(task, *[subject.train_batches] * 2)
    for stage, names in wrong.items():
        if names:
            raise CheckFailed(
                f"{list_names([*dict.fromkeys(names)])} ran in the wrong mode in {stage}, so its results are those of "
                "something else: leave `train()` and `eval()` to Lightning"
            )


def evaluation_changes_nothing(subject: Subject) -> None:
    """Validation changes no weight and no buffer."""
    task = subject.task()
    before = state(task)
    subject.validate(task, subject.val_batches)
    require_equal_states(
        before,
        state(task),
        "after validation",
        "it may only look; batch normalisation in training mode changes buffers",
    )


def evaluation_is_deterministic(subject: Subject) -> None:
    """In evaluation mode, outputs and metrics do not depend on random numbers."""
    task = subject.task()
    cause = "dropout without `training=self.training`, or noise of a generator of its own"
    has_forward, validates = is_overridden("forward", task), subject.validates(task)
    if not (has_forward or validates):
        raise CheckSkipped("the task defines no `forward`, and there is no validation")
    if has_forward:
        batch = subject.train_batches[0]
        one, other = (subject.outputs(task, batch, seed=seed) for seed in (0, 1))
        if not all(map(torch.equal, one, other)):
            raise CheckFailed(f"in evaluation mode `forward` returns something else each time: {cause}")
    if validates:
        first, second = (subject.validate(task, subject.val_batches) for _ in range(2))
        require_close_metrics(second, first, "when measured once more", cause)


def samples_are_independent(subject: Subject) -> None:
    """In evaluation mode, the outputs of a sample do not depend on the other samples of its batch."""
    batch = subject.train_samples
    half = num_samples(batch) // 2
    if half == 0:
        raise CheckSkipped("there are fewer than 2 samples")
    task = subject.task()
    one, other = (
        subject.outputs(task, take(batch, indices)) for indices in ([*range(2 * half)], [*range(half), *range(half)])
    )
    for found, expected in zip(one, other, strict=True):
        if found.ndim == 0 or len(found) % (2 * half):
            raise CheckSkipped("`forward` does not return outputs for each sample")
        rows = len(found) // 2
        if not close(found[:rows], expected[:rows], 1e-5):
            raise CheckFailed(
                "the outputs of a sample depend on the others in its batch, so scores depend on the batch size and "
                "labels leak: a softmax or mean over dimension 0, or batch statistics in evaluation mode"
            )


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


def metrics_ignore_batch_size(subject: Subject) -> None:
    """What validation logs does not depend on how samples are put into batches, the last one of another size."""
    expected = subject.measure(subject.task(), [subject.val_samples])
    number = num_samples(subject.val_samples)
    if number < 3:
        raise CheckSkipped("validation has fewer than 3 samples")
    first = number * 2 // 5
    parts = cut(subject.val_samples, [first, first, number - 2 * first])
    require_close_metrics(
        subject.measure(subject.task(), parts),
        expected,
        f"in batches of {first}, {first} and {number - 2 * first} samples instead of one",
        "a mean over batches is not the mean over samples if batches differ in size, and precision, F1 or R2 are no "
        "means at all: log the metric object itself",
    )


def metrics_agree_with_recomputation(subject: Subject) -> None:
    """Accuracies and errors that validation logs are those of all outputs and targets."""
    task = subject.task()
    found = subject.measure(task, subject.val_batches)
    whole = subject.val_samples
    parts = pair(subject.transferred(task, whole))
    if parts is None:
        raise CheckSkipped("batches are no pairs of inputs and targets")
    (outputs, *_), targets = subject.outputs(subject.task(), whole), parts[1]
    expected = _recomputed(outputs, targets)
    known = {
        name: expected[kind] for name in found for kind in expected if name.replace("/", "_").split("_")[-1] == kind
    }
    if not known:
        raise CheckSkipped(
            "no metric is logged whose name ends in accuracy, acc, mae, mse or rmse and fits the outputs"
        )
    for name, value in known.items():
        if not any(close_numbers(found[name], value * scale) for scale in (1, 100)):
            raise CheckFailed(
                f"`{name}` is {found[name]:.6g}, and {value:.6g} if computed from all outputs and targets: "
                "often an `argmax` over the wrong dimension, or a mean over batches"
            )


def predictions_follow_the_set(subject: Subject) -> None:
    """`predict_step` returns one row for each sample, in the order of the set."""
    data = subject.new_data(seed=1)
    loader = subject.loader(data, "predict")
    if isinstance(loader, DataLoader) and isinstance(loader.sampler, RandomSampler):
        raise CheckFailed("the loader for prediction shuffles, so nobody knows which row belongs to which sample")
    if isinstance(loader, DataLoader) and loader.drop_last:
        raise CheckFailed("the loader for prediction drops the last batch if it is smaller: set `drop_last=False`")
    batches = [take(batch, range(min(4, num_samples(batch)))) for batch in first_batches(loader, MAX_BATCHES)]
    if not batches:
        raise CheckSkipped("there are no data for prediction")
    again = [take(batch, range(min(4, num_samples(batch)))) for batch in first_batches(loader, MAX_BATCHES)]
    if not all(map(torch.equal, tree_leaves(batches), tree_leaves(again))):
        raise CheckFailed("the loader for prediction serves another order each time: switch shuffling off")
    whole = join(batches)
    number = num_samples(whole)
    rows = _predictions(subject, [whole])
    singles = _predictions(subject, cut(whole, [1] * number))
    for found, expected in zip(rows, singles, strict=True):
        if len(found) != len(expected) or len(found) % number:
            raise CheckFailed(
                f"{number} samples get {len(found)} rows of predictions in one batch and {len(expected)} one by one: "
                "`predict_step` must return one row for each sample"
            )
        if not close(found, expected, 1e-4):
            raise CheckFailed(
                "predictions in one batch differ from those one by one: `predict_step` must keep the order of the "
                "samples, and each must get its own prediction"
            )


def _halves(whole: Any) -> list[Any]:
    half = num_samples(whole) // 2
    if half == 0:
        raise CheckSkipped("there are fewer than 2 samples")
    return cut(whole, [half, half])


def _recomputed(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    if targets.is_floating_point() and outputs.shape == targets.shape:
        errors = outputs.double() - targets
        mse = errors.square().mean().item()
        return {"mae": errors.abs().mean().item(), "mse": mse, "rmse": mse**0.5}
    if not targets.is_floating_point() and outputs.ndim == targets.ndim + 1 and outputs.shape[1] > 1:
        accuracy = (outputs.argmax(dim=1) == targets).double().mean().item()
        return {"accuracy": accuracy, "acc": accuracy}
    return {}


def _predictions(subject: Subject, batches: Sequence[Any]) -> list[Tensor]:
    """Return the tensors that prediction returns, those of all batches joined."""
    task = subject.task()
    returned = quiet_trainer().predict(task, datamodule=subject.data_with(predict=ReplayLoader([batches])))
    columns = zip(
        *([leaf for leaf in tree_leaves(part) if isinstance(leaf, Tensor)] for part in returned or []), strict=True
    )
    joined = [torch.cat([part.reshape(part.shape or 1) for part in column]) for column in columns]
    if not joined:
        raise CheckFailed("`predict_step` returns no tensor")
    return joined

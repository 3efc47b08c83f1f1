"""Checks of prediction."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from lightning_template.engine.libraries.torch_private import tree_leaves
from lightning_template.testing.batches import ReplayLoader, cut, first_batches, join, leaves_of, num_samples, take
from lightning_template.testing.checks.comparing import close, difference, equal
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.samples import dataset_of, second_data
from lightning_template.testing.subject import MAX_BATCHES, Subject
from lightning_template.testing.trainers import quiet_trainer


def predictions_follow_the_set(subject: Subject) -> None:
    """`predict_step` returns one row for each sample, in the order of the set."""
    whole = _samples_to_predict(subject)
    number = num_samples(whole)
    rows = _predictions(subject, [whole])
    if not all(map(equal, rows, _predictions(subject, [whole], seed=1))):
        raise CheckSkipped("prediction draws random numbers")
    singles = _predictions(subject, cut(whole, [1] * number))
    for found, expected in zip(rows, singles, strict=True):
        if len(found) != len(expected) or len(found) % number:
            raise CheckFailed(
                f"{number} samples get {len(found)} rows of predictions in one batch and {len(expected)} one by one: "
                "`predict_step` must return one row for each sample"
            )
        if not close(found, expected, 1e-4):
            raise CheckFailed(
                f"predictions in one batch differ from those one by one, {difference(found, expected)}: `predict_step` "
                "must keep the order of the samples, and each must get its own prediction"
            )


def _samples_to_predict(subject: Subject) -> Any:
    """Return some samples of the set for prediction as one batch."""
    data = subject.once(second_data)
    loader = subject.loader(data, "predict")
    if isinstance(loader, DataLoader) and isinstance(loader.sampler, RandomSampler):
        raise CheckFailed("the loader for prediction shuffles, so nobody knows which row belongs to which sample")
    if isinstance(loader, DataLoader) and loader.drop_last:
        raise CheckFailed("the loader for prediction drops the last batch if it is smaller: set `drop_last=False`")
    batches = [take(batch, range(min(4, num_samples(batch)))) for batch in first_batches(loader, MAX_BATCHES)]
    if not batches:
        raise CheckSkipped("there are no data for prediction")
    again = [take(batch, range(min(4, num_samples(batch)))) for batch in first_batches(loader, MAX_BATCHES)]
    for number, (found, expected) in enumerate(zip(leaves_of(again), leaves_of(batches), strict=True)):
        if isinstance(found, Tensor) and not equal(found, expected):
            if dataset_of(loader) is not None:  # it serves them in order
                raise CheckAdvised(
                    f"samples for prediction are changed at random, {difference(found, expected)}: switch noise and "
                    "augmentation off, unless the task is to remove it"
                )
            raise CheckFailed(
                "the loader for prediction serves another order each time, or changes samples at random: tensor "
                f"{number} was, {difference(found, expected)}. Switch shuffling and augmentation off"
            )
    return join(batches)


def _predictions(subject: Subject, batches: Sequence[Any], seed: int = 0) -> list[Tensor]:
    """Return the tensors that prediction returns, those of all batches joined."""
    task = subject.task()
    returned = _predict(subject, task, batches, seed)
    columns = zip(
        *([leaf for leaf in tree_leaves(part) if isinstance(leaf, Tensor)] for part in returned or []), strict=True
    )
    joined = [torch.cat([part.reshape(part.shape or 1) for part in column]) for column in columns]
    if not joined:
        raise CheckAdvised("`predict_step` returns no tensor, so its rows cannot be compared with the samples")
    return joined


def _predict(subject: Subject, task: LightningModule, batches: Sequence[Any], seed: int) -> Any:
    loader = ReplayLoader([batches])
    seed_all(seed)
    try:
        return quiet_trainer().predict(task, datamodule=subject.data_with(predict=loader))
    except Exception as error:
        if is_overridden("predict_step", task):
            raise
        raise CheckAdvised(
            "the task has no `predict_step`, and Lightning's hands the whole batch to `forward`, which does not take "
            f"it: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error

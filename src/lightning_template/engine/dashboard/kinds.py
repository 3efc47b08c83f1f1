"""Kinds of samples and predictions, which decide on the figures."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

MAX_CLASSES = 1000
"""Largest number of classes of which figures are drawn: the confusion matrix holds their square."""


def pair(batch: Any) -> tuple[Tensor, Tensor] | None:
    """Return inputs and targets of a batch that begins with them; None for another batch."""
    if isinstance(batch, (list, tuple)) and len(batch) >= 2 and all(isinstance(part, Tensor) for part in batch[:2]):
        return batch[0], batch[1]
    return None


def is_classification(predictions: Tensor, targets: Tensor) -> bool:
    """Tell whether each target is the index of a class, and predictions are probabilities."""
    if targets.ndim != 1 or targets.is_floating_point() or predictions.ndim > 2 or len(targets) == 0:
        return False
    num_classes = 2 if predictions.ndim == 1 else predictions.shape[1]
    return num_classes <= MAX_CLASSES and bool(((targets >= 0) & (targets < num_classes)).all())


def are_numbers(predictions: Tensor, targets: Tensor) -> bool:
    """Tell whether there is one number for each sample."""
    return targets.is_floating_point() and predictions.shape == targets.shape and targets.numel() == len(targets)


def probabilities(predictions: Tensor) -> Tensor:
    """Return probabilities of each class, also where predictions are those of class 1 alone."""
    return torch.stack([1 - predictions, predictions], dim=1) if predictions.ndim == 1 else predictions


def class_names(trainer: Trainer, number: int) -> list[str]:
    """Return the datamodule's names of classes, or their numbers."""
    names = known_names(trainer)
    return names[:number] if len(names) >= number else [str(index) for index in range(number)]


def known_names(trainer: Trainer) -> list[str]:
    """Return the datamodule's names of classes; none if it has none."""
    names = getattr(trainer.datamodule, "class_names", None)  # type: ignore[attr-defined]  # the Trainer's parts set it
    return [str(name) for name in names] if isinstance(names, Sequence) else []

"""Kinds of samples and predictions, which decide on the figures."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_template.engine.drawing import are_images
from lightning_template.engine.nests import tensors_of

MAX_CLASSES = 1000
"""Largest number of classes of which figures are drawn: the confusion matrix holds their square."""


def pair(module: LightningModule, batch: Any) -> tuple[Any, Any] | None:
    """Return inputs and targets of a batch: as the task's `unpack` says, or else of one that begins with two tensors.

    Call it within `untouched`: `unpack` is anybody's, and may draw random numbers.
    """
    if unpacks(module):
        inputs, targets = module.unpack(batch)  # type: ignore[operator]  # a task's
        return None if targets is None else (inputs, targets)
    if isinstance(batch, (list, tuple)) and len(batch) >= 2 and all(isinstance(part, Tensor) for part in batch[:2]):
        return batch[0], batch[1]
    return None


def unpacks(module: LightningModule) -> bool:
    """Tell whether a module is a task that takes its batches apart, as `SupervisedTask` does."""
    return hasattr(module, "unpack") and hasattr(module, "predict")


def images_of(inputs: Any, number: int) -> Tensor | None:
    """Return the first tensor of so many grey or coloured images among the inputs; None if there is none."""
    return next((tensor for tensor in tensors_of(inputs) if are_images(tensor) and len(tensor) == number), None)


def is_classification(predictions: Any, targets: Any) -> bool:
    """Tell whether each target is the index of a class, and predictions are probabilities."""
    if not (isinstance(predictions, Tensor) and isinstance(targets, Tensor)):
        return False
    if targets.ndim != 1 or targets.is_floating_point() or predictions.ndim > 2 or len(targets) == 0:
        return False
    num_classes = 2 if predictions.ndim == 1 else predictions.shape[1]
    return num_classes <= MAX_CLASSES and bool(((targets >= 0) & (targets < num_classes)).all())


def are_numbers(predictions: Any, targets: Any) -> bool:
    """Tell whether there is one number for each sample."""
    if not (isinstance(predictions, Tensor) and isinstance(targets, Tensor)):
        return False
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

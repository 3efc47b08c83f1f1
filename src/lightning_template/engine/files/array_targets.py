"""Targets in arrays: classes, by their index or their name, or numbers."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MAX_NUMBERED_CLASSES = 1000
"""Number of different whole numbers above which somebody must say whether they are classes."""

IGNORED = -100
"""Target of a position that torch's losses leave out."""

_logger = logging.getLogger(__name__)


def targets_of(where: str, array: Tensor | np.ndarray, task: str | None) -> tuple[Tensor, tuple[str, ...] | None]:
    """Return targets, and the names of their classes if these are more than their indices.

    Args:
        where: File and array, for messages.
        array: Whole numbers or text, or floating-point numbers, `(N, ...)`.
        task: `classification` or `regression`; if None, the dtype tells.

    Returns:
        Class indices `(N, ...)` int64, or numbers `(N, num_values)` float; and names or None.

    Raises:
        ValueError: If the array does not hold such targets.
    """
    if is_regression(where, array, task):
        assert isinstance(array, Tensor)
        return (array.unsqueeze(1) if array.ndim == 1 else array).float(), None
    values = _class_values(where, array, task)
    if isinstance(values, Tensor) and (values.ndim > 1 or (values.dtype != torch.bool and values.min() == 0)):
        if bool(((values < 0) & (values != IGNORED)).any()):
            raise ValueError(
                f"{where}: class indices of each position are from 0, or {IGNORED} for none, got {values.min()}"
            )
        return values.long(), None
    classes = np.unique(values)
    if len(classes) > MAX_NUMBERED_CLASSES:
        raise _too_many(where, len(classes))
    names = tuple(map(str, classes.tolist()))
    _logger.info("%s: %d classes: %s", where, len(names), ", ".join(names[:10]) + ", ..." * (len(names) > 10))
    return class_indices(where, values, names), names


def like_training(where: str, array: Tensor | np.ndarray, train: Tensor, names: Sequence[str] | None) -> Tensor:
    """Return the targets of a test or validation set, as those for training are.

    Args:
        where: File and array, for messages.
        array: Its targets.
        train: Targets for training.
        names: Names of their classes; None if there are none.

    Raises:
        ValueError: If a class is not among those for training.
    """
    if names is not None:
        return class_indices(where, _class_values(where, array, "classification"), names)
    targets, _ = targets_of(where, array, "regression" if train.is_floating_point() else "classification")
    if not targets.is_floating_point() and targets.max() > train.max():
        raise ValueError(f"{where}: has class {targets.max()}, but the training ones end at {train.max()}")
    return targets


def class_indices(where: str, values: Tensor | np.ndarray, names: Sequence[str]) -> Tensor:
    """Return for each value which of `names` it is, int64 `(N,)`.

    Raises:
        ValueError: If it is none of them.
    """
    indices = {name: index for index, name in enumerate(names)}
    found = list(map(str, values.tolist()))
    if unknown := [name for name in found if name not in indices]:
        raise ValueError(f"{where}: class {unknown[0]!r} is none of training, which has {', '.join(names[:20])}")
    return torch.tensor([indices[name] for name in found])


def is_regression(where: str, array: Tensor | np.ndarray, task: str | None) -> bool:
    """Tell whether an array holds numbers to predict; log what the dtype alone says, where it may mislead.

    Raises:
        ValueError: If it holds text, and numbers are asked for; or so many whole numbers that it is not certain.
    """
    if not isinstance(array, Tensor):
        if task == "regression":
            raise ValueError(f"{where}: numbers to predict must be numbers, got text such as {str(array.flat[0])!r}")
        return False
    if task is not None:
        return task == "regression"
    if array.dtype == torch.bool:
        return array.ndim > 1 and array.shape[1:] != (1,)  # of several labels each
    if not array.is_floating_point():
        if array.ndim == 1 and (number := len(np.unique(array))) > MAX_NUMBERED_CLASSES:
            raise _too_many(where, number)
        return False
    if array.numel() == len(array) and _are_few_whole_numbers(array):
        what = (
            "%s: floating-point targets are numbers to predict; give `--data.task classification` if they are classes"
        )
        _logger.warning(what, where)
    return True


def _are_few_whole_numbers(array: Tensor) -> bool:
    values = np.unique(array[:10_000])
    return len(values) <= 20 and bool((values % 1 == 0).all())


def _class_values(where: str, array: Tensor | np.ndarray, task: str | None) -> Tensor | np.ndarray:
    """Return classes `(N,)`, or class indices of each position `(N, ...)`."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not isinstance(array, Tensor):
        if array.ndim != 1:
            raise ValueError(f"{where}: names of classes must be (N,), got text of shape {array.shape}")
        return np.char.strip(array)
    if array.is_floating_point():
        if bool((array % 1 != 0).any()):  # NaN too
            raise ValueError(f"{where}: classes must be whole numbers or text, got {array[array % 1 != 0][0]}")
        array = array.long()
    if array.ndim == 2 and _is_one_hot(array):
        if task == "classification":
            return array.long().argmax(dim=1)
        _logger.warning("%s: looks one-hot; give `--data.task classification` to take each row for one class", where)
    return array


def _is_one_hot(array: Tensor) -> bool:
    array = array.long()
    return bool(((array == 0) | (array == 1)).all() and (array.sum(dim=1) == 1).all())


def _too_many(where: str, number: int) -> ValueError:
    return ValueError(
        f"{where}: {number} different values are more than {MAX_NUMBERED_CLASSES} classes: give `--data.task "
        "regression` if they are quantities"
    )

"""Columns of a table of predictions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def named_columns(outputs: Any, class_names: Sequence[str]) -> dict[str, Any]:
    """Split tensors `(N, num_values)` into columns, named after classes or numbered, and name classes.

    Args:
        outputs: What `predict_step` returned.
        class_names: Name of each class.

    Raises:
        ValueError: If these are not named tensors.
    """
    if not isinstance(outputs, dict) or not all(isinstance(column, Tensor) for column in outputs.values()):
        raise ValueError(f"`predict_step` must return a dict of tensors to be written, got {type(outputs).__name__}")
    columns: dict[str, Any] = {}
    for name, values in outputs.items():
        table = values.cpu().flatten(1) if values.ndim > 1 else values.cpu().unsqueeze(1)
        if table.dtype == torch.bfloat16:  # numpy has none
            table = table.float()
        parts = class_names if len(class_names) == table.shape[1] else range(table.shape[1])
        for part, column in zip(parts, table.T, strict=True):
            columns[name if table.shape[1] == 1 else f"{name}_{part}"] = column.numpy()
        if values.ndim == 1 and not values.is_floating_point() and 0 <= values.min() <= values.max() < len(class_names):
            columns[f"{name}_name"] = [class_names[index] for index in values.tolist()]
    return columns

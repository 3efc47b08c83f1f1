"""Columns of a table of predictions."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from lightning_template.engine.nests import tensors_of
from lightning_template.engine.prediction.outputs import named_outputs


def named_columns(outputs: Any, class_names: Sequence[str], num_samples: int | None = None) -> dict[str, Any]:
    """Split tensors `(N, num_values)` into columns, named after classes or numbered, and name classes.

    Args:
        outputs: What `predict_step` returned: for each name a tensor, or a list with a text, a number or a list of
            numbers for each sample. What holds several tensors makes a column of each that has a row for each sample.
            Outputs without names are named by `named_outputs`.
        class_names: Name of each class.
        num_samples: Number of samples of the batch, if it is known.

    Returns:
        The columns; none if nothing was returned.

    Raises:
        ValueError: If these differ in the number of samples, or no table can hold them.
    """
    outputs = named_outputs(outputs, num_samples)
    if not outputs:
        return {}
    found = {name: list(_leaves(str(name), values)) for name, values in outputs.items()}
    sizes = [len(values) for leaves in found.values() for _, values in leaves if not _is_scalar(values)]
    if not sizes:
        raise ValueError("`predict_step` must return a tensor, or a list, with an item for each sample")
    columns: dict[str, Any] = {}
    for name, leaves in found.items():
        is_one = len(leaves) == 1 and leaves[0][0] == name
        for part, values in leaves:
            if not _is_scalar(values) and len(values) == sizes[0]:
                columns |= _split(part, values, class_names) if isinstance(values, Tensor) else {part: values}
            elif is_one:
                number = 1 if _is_scalar(values) else len(values)
                raise ValueError(f"`predict_step` must return {sizes[0]} values in {name}, got {number}")
    return columns


def _leaves(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    """Yield tensors and lists of values, each with its name."""
    if isinstance(values, PackedSequence):
        values = [row.tolist() for row in unpack_sequence(values)]
    if isinstance(values, Tensor) or (isinstance(values, list) and not tensors_of(values)):
        yield name, values
        return
    for part, value in _parts(values):
        yield from _leaves(f"{name}_{part}", value)


def _parts(values: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(values, Mapping):
        return values.items()
    if dataclasses.is_dataclass(values):
        return [(field.name, getattr(values, field.name)) for field in dataclasses.fields(values)]
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return zip(values._fields, values, strict=True)
    return enumerate(values if isinstance(values, tuple | list) else tensors_of(values))


def _is_scalar(values: Any) -> bool:
    return isinstance(values, Tensor) and values.ndim == 0


def _split(name: str, values: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    table = values.detach().cpu().flatten(1) if values.ndim > 1 else values.detach().cpu().unsqueeze(1)
    if table.dtype == torch.bfloat16:  # numpy has none
        table = table.float()
    parts = class_names if len(class_names) == table.shape[1] else range(table.shape[1])
    for part, column in zip(parts, table.T, strict=True):
        columns[name if table.shape[1] == 1 else f"{name}_{part}"] = column.numpy()
    if values.ndim == 1 and not values.is_floating_point() and 0 <= values.min() <= values.max() < len(class_names):
        columns[f"{name}_name"] = [class_names[index] for index in values.tolist()]
    return columns

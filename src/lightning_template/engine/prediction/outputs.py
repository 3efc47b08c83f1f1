"""Outputs of anybody's `predict_step`, by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NAME = "prediction"
"""Name of an output that has none."""


def named_outputs(outputs: Any, num_samples: int | None = None) -> dict[str, Any]:
    """Return what `predict_step` returned by name, with an item for each sample; nothing if it returned None.

    A dict is by name already. A list has an item for each sample, which may be a dict; or else it is as a tuple, which
    has an output for each item. A number is that of a whole batch.

    Args:
        outputs: What `predict_step` returned.
        num_samples: Number of samples of the batch, if it is known.

    Example:
        >>> named_outputs([{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.25}])
        {'label': ['cat', 'dog'], 'score': [0.5, 0.25]}
        >>> named_outputs(torch.tensor([1, 2])), named_outputs(None)
        ({'prediction': tensor([1, 2])}, {})
    """
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, list) and not _holds_outputs(outputs, num_samples):
        return _of_samples(outputs)
    if outputs is None or (isinstance(outputs, tuple | list) and not any(part is not None for part in outputs)):
        return {}
    if hasattr(outputs, "__array__") and not isinstance(outputs, Tensor):
        outputs = torch.as_tensor(outputs)
    is_number = isinstance(outputs, str | bool | int | float) or (isinstance(outputs, Tensor) and outputs.ndim == 0)
    if is_number or (isinstance(outputs, tuple) and len(outputs) == 1):
        return {NAME: [_value(outputs)] if is_number else outputs[0]}
    return {NAME: outputs}


def _holds_outputs(items: list[Any], num_samples: int | None) -> bool:
    """Tell whether a list has an item for each output: tensors as long as the batch, but not as many."""
    lengths = {len(item) if isinstance(item, Tensor) and item.ndim else None for item in items}
    return num_samples is not None and len(items) != num_samples and lengths == {num_samples}


def _of_samples(items: list[Any]) -> dict[str, Any]:
    """Return the outputs of a list with an item for each sample."""
    if not any(item is not None for item in items):
        return {}
    if all(isinstance(item, Mapping) for item in items):
        names = dict.fromkeys(str(name) for item in items for name in item)
        return {name: [_value(item.get(name)) for item in items] for name in names}
    if all(isinstance(item, Tensor) for item in items) and len({item.shape for item in items}) == 1:
        return {NAME: torch.stack(items)}
    return {NAME: [_value(item) for item in items]}


def _value(item: Any) -> Any:
    """Return a number, a text or a list of these for what a sample has."""
    if hasattr(item, "tolist"):
        return item.tolist()
    return [_value(part) for part in item] if isinstance(item, tuple | list) else item

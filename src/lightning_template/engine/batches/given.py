"""Numbers that Python holds, as stored inputs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.batches.inputs import Inputs


def tensor_of(given: Any) -> Tensor:
    """Return a tensor as it is; an array or lists of numbers, or a list of tensors or arrays of one shape, as a tensor.

    Floating-point numbers get the default dtype of torch, which networks have.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(given, Tensor):
        return given.detach().cpu()
    if isinstance(given, list | tuple) and any(isinstance(part, Tensor) for part in given):
        given = [np.asarray(part.detach().cpu() if isinstance(part, Tensor) else part) for part in given]
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:  # parts of several shapes
        raise ValueError(
            f"inputs must be an array of numbers (N, ...) or a DataLoader, got {kind_of(given)}: {error}"
        ) from error
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise ValueError(f"inputs must be an array of numbers (N, ...) or a DataLoader, got {kind_of(given)}")
    tensor = torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
    return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor  # numpy's default is double


def like_stored(given: Tensor, stored: Inputs) -> Tensor:
    """Return inputs in the dtype of those that are stored.

    Raises:
        ValueError: If they have another shape, or values that the dtype cannot have.
    """
    sample = stored.index_select(0, torch.tensor([0]))
    converted = given.to(sample.dtype)
    keeps_values = converted.is_floating_point() or bool((converted == given).all())
    if given.shape[1:] != sample.shape[1:] or not keeps_values:
        raise ValueError(
            f"inputs must be like those of the data, {_name(sample.dtype)} (N, {_sizes(sample)}), "
            f"got {_name(given.dtype)} {tuple(given.shape)}"
        )
    return converted


def kind_of(given: Any) -> str:
    """Return the type of what Python holds, for a message; of a list that of its first item too."""
    name = type(given).__name__
    return f"{name} of {type(given[0]).__name__}" if isinstance(given, list | tuple) and given else name


def _no_numbers(given: Any) -> ValueError:
    return ValueError(f"inputs must be an array of numbers (N, ...) or a DataLoader, got {kind_of(given)}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sizes(sample: Tensor) -> str:
    return ", ".join(map(str, sample.shape[1:]))

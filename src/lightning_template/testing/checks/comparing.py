"""Comparison of states and metrics: equal, or equal but for rounding."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lightning_template.testing.exceptions import CheckFailed

State = dict[str, Tensor]


def state(module: nn.Module) -> State:
    """Return copies of a module's parameters and buffers."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def require_equal_states(one: State, other: State, when: str, cause: str) -> None:
    """Require two states to be equal to the bit.

    Args:
        one: A state.
        other: Another one.
        when: When they must be equal.
        cause: Why they usually are not.

    Raises:
        CheckFailed: If they are not.
    """
    names = [name for name in one | other if not equal(one.get(name), other.get(name))]
    if names:
        raise CheckFailed(f"{list_names(names)} came out otherwise {when}: {cause}")


def require_close_metrics(found: Mapping[str, float], expected: Mapping[str, float], when: str, cause: str) -> None:
    """Require metrics to be equal but for rounding.

    Args:
        found: Metrics.
        expected: What they must be.
        when: When they must be that.
        cause: Why they usually are not.

    Raises:
        CheckFailed: If they are not.
    """
    wrong = [
        f"`{name}` is {value:.6g} instead of {expected[name]:.6g}"
        for name, value in found.items()
        if name in expected and not close_numbers(value, expected[name])
    ]
    wrong += [f"`{name}` is logged in one case alone" for name in sorted(set(found) ^ set(expected))]
    if wrong:
        raise CheckFailed(f"{', '.join(wrong[:3])} {when}: {cause}")


def close_numbers(one: float, other: float) -> bool:
    """Tell whether two numbers are equal but for rounding, or both are none."""
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) or (math.isnan(one) and math.isnan(other))


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Tell whether tensors are equal but for an error relative to the largest value."""
    if found.shape != expected.shape:
        return False
    if found.numel() == 0:
        return True
    found, expected = found.cpu().double(), expected.cpu().double()
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-6))


def list_names(names: Sequence[str]) -> str:
    """Return names as they stand in a message.

    Example:
        >>> list_names(["a", "b", "c", "d", "e"])
        '`a`, `b`, `c` and 2 more'
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def difference(found: Tensor, expected: Tensor) -> str:
    """Return where tensors differ most, and by what, for a message.

    Example:
        >>> difference(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.5]]))
        'at [0, 1] 2 instead of 2.5'
    """
    if found.shape != expected.shape:
        return f"of shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    errors = torch.nan_to_num((found.double() - expected.double()).abs(), nan=torch.inf)
    place = [int(index) for index in torch.unravel_index(errors.argmax(), errors.shape)]
    return f"at {place} {found[tuple(place)].item():.6g} instead of {expected[tuple(place)].item():.6g}"


def equal(one: Tensor | None, other: Tensor | None) -> bool:
    """Tell whether tensors are equal to the bit; what is not a number equals itself."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return bool(torch.all((one == other) | ((one != one) & (other != other))))

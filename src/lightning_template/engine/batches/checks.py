"""Checks of samples and of a data module's arguments."""

import torch
from torch import Tensor

from lightning_template.engine.batches.inputs import CHUNK_BYTES, Inputs


def check_at_least(least: int, **numbers: int) -> None:
    """Check arguments, given by their names.

    Raises:
        ValueError: If one is less than `least`.
    """
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"`{name}` must be at least {least}, got {number}")


def check_fractions(**fractions: float | None) -> None:
    """Check arguments, given by their names; None, for a default, passes.

    Raises:
        ValueError: If one lies outside [0, 1).
    """
    for name, fraction in fractions.items():
        if fraction is not None and not 0 <= fraction < 1:
            raise ValueError(f"`{name}` must lie in [0, 1), got {fraction}")


def check_samples(name: str, inputs: Inputs, targets: Tensor) -> None:
    """Check that there are samples, one target for each input, and only finite values.

    Args:
        name: Name of the samples in a message.
        inputs: Inputs `(N, ...)`; those in files must be finite by their format.
        targets: Targets `(N, ...)`.

    Raises:
        ValueError: If a check fails.
    """
    if not 0 < len(inputs) == len(targets):
        raise ValueError(f"{name} samples must be inputs with a target each, got {len(inputs)} and {len(targets)}")
    for kind, values in (("inputs", inputs), ("targets", targets)):
        if not isinstance(values, Tensor) or not values.is_floating_point():
            continue
        num_rows = max(1, CHUNK_BYTES * len(values) // max(1, values.nbytes))
        parts = torch.split(values, num_rows)
        if not all(_is_finite(part) for part in parts):
            finite = torch.cat([part[:, None].flatten(1).isfinite().all(dim=1) for part in parts])
            bad = finite.logical_not().nonzero().flatten()
            raise ValueError(f"{name} {kind} must be finite, but not so in {len(bad)} samples, first {bad[0].item()}")


def check_targets_differ(where: str, targets: Tensor) -> None:
    """Check that there is something to predict.

    Args:
        where: File, and its column where it has columns, for the message.
        targets: Targets `(N, ...)`, at least one.

    Raises:
        ValueError: If all targets are the same.
    """
    if all((part == targets[0]).all() for part in torch.split(targets, 4096)):  # ends at the first that differs
        raise ValueError(f"{where}: the target is the same in all {len(targets)} samples: there is nothing to learn")


def _is_finite(values: Tensor) -> bool:
    extremes = torch.stack(values.aminmax()) if values.numel() else values  # NaN is both; ten times faster than all
    return bool(extremes.isfinite().all())

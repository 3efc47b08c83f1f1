"""The warm-up of a learning rate."""

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR


class Warmup(SequentialLR):
    """Raises the learning rate linearly from a small part of it, by optimizer steps, before another schedule begins.

    Give one of `share`, `epochs` and `steps`. A task warms up with each optimizer step, also where its schedule moves
    by epoch: that begins with the first epoch after the warm-up, and what is left of the run is its length. A plateau
    schedule watches from the start. Constructed by hand it takes `steps`, which are calls of `step`.

    Args:
        optimizer: Optimizer whose learning rates are scheduled.
        after: Makes the schedule after the warm-up; if not given, the rate stays as it is.
        share: Length as a share of the run, in (0, 1).
        epochs: Length in epochs, for example 0.5.
        steps: Length in optimizer steps.
        start_factor: Part of the rate in the first step, in (0, 1].

    Raises:
        ValueError: If there is not one length, or it is not positive.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        after: LRSchedulerCallable | None = None,
        share: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        start_factor: float = 0.01,
    ) -> None:
        if steps is None:
            raise ValueError("`Warmup` needs `steps` here: only a task's own schedule knows the length of the run")
        number = warmup_steps({"share": share, "epochs": epochs, "steps": steps}, 0, 0)
        ramp = LinearLR(optimizer, start_factor, total_iters=number)
        schedule = after(optimizer) if after else ConstantLR(optimizer, 1.0)
        super().__init__(optimizer, [ramp, schedule], [number])


def warmup_steps(lengths: Mapping[str, Any], num_steps: float | None, steps_per_epoch: float) -> int:
    """Return the number of optimizer steps of a warm-up.

    Args:
        lengths: What was given of `share`, `epochs` and `steps`.
        num_steps: Number of optimizer steps of the run; None, infinite or -1 if it has no end.
        steps_per_epoch: Number of optimizer steps of an epoch.

    Raises:
        ValueError: If not one length was given, it is not possible, or a share is asked for of a run without end.
    """
    given = {name: lengths[name] for name in ("share", "epochs", "steps") if lengths.get(name) is not None}
    if len(given) != 1:
        raise ValueError(f"`Warmup` needs one of `share`, `epochs` and `steps`, got {', '.join(given) or 'none'}")
    ((name, value),) = given.items()
    if not (0 < value < 1 if name == "share" else 0 < value < math.inf):
        bounds = "lie in (0, 1)" if name == "share" else "be greater than 0"
        raise ValueError(f"`{name}` of `Warmup` must {bounds}, got {value}")
    if name == "share" and not is_known(num_steps):
        raise ValueError("`share` of `Warmup` needs the length of the run: set `max_steps`, or give `steps`")
    if name == "epochs" and not is_known(steps_per_epoch):
        raise ValueError("`epochs` of `Warmup` needs a loader with a length: give `steps`")
    units: dict[str, Any] = {"share": num_steps, "epochs": steps_per_epoch, "steps": 1}
    return int(max(1, round(value * units[name])))


def is_known(length: float | None) -> bool:
    """Tell whether a number of steps, or of epochs, has an end."""
    return length is not None and 0 < length < math.inf

"""Learning rate schedules whose length is the run's."""

import inspect
import math
from typing import Literal

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


def build_lr_scheduler(
    factory: LRSchedulerCallable, optimizer: Optimizer, total_steps: float | None, mode: Literal["min", "max"]
) -> LRScheduler | ReduceLROnPlateau:
    """Make a schedule, with its `total_steps` filled in where it takes one and has none.

    Args:
        factory: Makes the schedule; where it is a `functools.partial`, its keywords count as given.
        optimizer: Optimizer whose learning rate is scheduled.
        total_steps: How often the schedule will step in this run; None, infinite or -1 if the run has no end.
        mode: Whether the smallest or the largest value of what a plateau schedule watches is the best.

    Raises:
        ValueError: If the schedule needs `total_steps` and the run has no end, or is a plateau schedule whose mode is
            not `mode`.
    """
    parameters = {name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()}
    parameters |= getattr(factory, "keywords", {})
    if parameters.get("total_steps", 0) is not None or parameters.get("epochs") is not None:
        scheduler = factory(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler.mode != mode:
            raise ValueError(f"`mode` of `ReduceLROnPlateau` must be {mode} for this task, got {scheduler.mode}")
        return scheduler
    if total_steps is None or not 0 < total_steps < math.inf:
        raise ValueError(
            "the learning rate schedule needs `total_steps`: set it or `max_epochs`, or `max_steps` if it moves by step"
        )
    return factory(optimizer, total_steps=int(total_steps))  # type: ignore[call-arg]  # checked just above

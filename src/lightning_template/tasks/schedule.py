"""Learning rate schedules whose length is the run's."""

import inspect
import math

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


def build_lr_scheduler(
    factory: LRSchedulerCallable, optimizer: Optimizer, total_steps: float
) -> LRScheduler | ReduceLROnPlateau:
    """Make a schedule, with its `total_steps` filled in where it takes one and has none.

    Args:
        factory: Makes the schedule; where it is a `functools.partial`, its keywords count as given.
        optimizer: Optimizer whose learning rate is scheduled.
        total_steps: How often the schedule will step in this run; infinite if the run has no end.

    Raises:
        ValueError: If the schedule needs `total_steps` and the run has no end.
    """
    parameters = {name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()}
    parameters |= getattr(factory, "keywords", {})
    if parameters.get("total_steps", 0) is not None or parameters.get("epochs") is not None:
        return factory(optimizer)
    if not math.isfinite(total_steps):
        raise ValueError("the learning rate schedule needs `total_steps`: set it, or `max_epochs`, or `max_steps`")
    return factory(optimizer, total_steps=int(total_steps))  # type: ignore[call-arg]  # checked just above

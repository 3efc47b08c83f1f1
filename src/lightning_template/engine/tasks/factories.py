"""Optimizers and learning rate schedules, made by factories; schedules get the length of the run."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightning_template.engine.tasks.module import TaskModule

RATES = ("lr", "max_lr", "base_lr", "min_lr", "eta_min")
"""Arguments of torch's optimizers and schedules that are learning rates."""


def check_factories(optimizer: object, lr_scheduler: object) -> None:
    """Check the functions that make a task's optimizer and its schedule, where they are not None."""
    for name, factory in (("optimizer", optimizer), ("lr_scheduler", lr_scheduler)):
        if factory is not None:
            check_factory(name, factory)


def build_optimizers(
    task: TaskModule,
    optimizer: OptimizerCallable | None,
    lr_scheduler: LRSchedulerCallable | None,
    interval: Literal["epoch", "step"],
) -> OptimizerLRScheduler:
    """Make what `configure_optimizers` of a task returns.

    Args:
        task: Task, whose parameters that require gradients are trained.
        optimizer: Makes the optimizer.
        lr_scheduler: Makes the schedule, if there is one.
        interval: Whether the schedule steps after each epoch or after each optimizer step.

    Raises:
        ValueError: If there is no optimizer, or a factory refuses its arguments, see `build_lr_scheduler`.
    """
    if optimizer is None:
        raise ValueError(
            "training needs an `optimizer`, and the task has none: give `model.optimizer` in YAML, such as "
            "torch.optim.Adam, or in Python functools.partial(torch.optim.Adam, lr=1e-3)"
        )
    made = build_optimizer(optimizer, (weight for weight in task.parameters() if weight.requires_grad))
    if lr_scheduler is None:
        return made
    num_steps = task.trainer.max_epochs if interval == "epoch" else task.trainer.estimated_stepping_batches
    schedule = build_lr_scheduler(lr_scheduler, made, num_steps, task.mode)
    return {
        "optimizer": made,
        "lr_scheduler": {"scheduler": schedule, "interval": interval, "monitor": task.monitor},
    }


def check_factory(name: str, factory: object) -> None:
    """Check that an argument is a function that makes an optimizer or a schedule, and the learning rates it has.

    Args:
        name: Name of the argument.
        factory: Its value; where it is a `functools.partial`, its keywords are looked at.

    Raises:
        ValueError: If it is an optimizer or a schedule itself, cannot be called, or has an impossible learning rate.
    """
    is_made = isinstance(factory, Optimizer | LRScheduler)
    if is_made or not callable(factory):
        example = "functools.partial(torch.optim.SGD, lr=0.1)"
        if name == "lr_scheduler":
            example = "functools.partial(torch.optim.lr_scheduler.StepLR, step_size=10)"
        got = f"a {type(factory).__name__} that is made already" if is_made else f"{factory!r:.100}"
        raise ValueError(f"`{name}` must be a function that makes one, such as {example}, got {got}")
    for key, value in getattr(factory, "keywords", {}).items():
        rates = value if isinstance(value, list | tuple) else [value]
        if key in RATES and not all(0 <= rate < math.inf for rate in rates if isinstance(rate, int | float)):
            raise ValueError(f"`{name}.{key}` must be finite and at least 0, got {value}")


def build_optimizer(factory: OptimizerCallable, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Make an optimizer.

    Raises:
        ValueError: If the factory refuses its arguments.
    """
    try:
        return factory(parameters)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(f"`optimizer` cannot be made: {error}") from error


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
        scheduler = _call(factory, optimizer)
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler.mode != mode:
            raise ValueError(f"`mode` of `ReduceLROnPlateau` must be {mode} for this task, got {scheduler.mode}")
        return scheduler
    if total_steps is None or not 0 < total_steps < math.inf:
        raise ValueError(
            "the learning rate schedule needs `total_steps`: set it or `max_epochs`, or `max_steps` if it moves by step"
        )
    return _call(factory, optimizer, total_steps=int(total_steps))


def _call(
    factory: Callable[..., LRScheduler | ReduceLROnPlateau], *args: Any, **options: Any
) -> LRScheduler | ReduceLROnPlateau:
    try:
        return factory(*args, **options)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(f"`lr_scheduler` cannot be made: {error}") from error

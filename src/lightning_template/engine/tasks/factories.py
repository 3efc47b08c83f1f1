"""Optimizers and learning rate schedules, made by factories; schedules get the length of the run."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch import Trainer
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler

from lightning_template.engine.tasks.groups import check_groups, parameter_groups
from lightning_template.engine.tasks.schedules import Place, after_warmup, build_schedule, parameters_of, unwrap
from lightning_template.engine.tasks.warmup import Warmup, warmup_steps

if TYPE_CHECKING:
    from lightning_template.engine.tasks.module import TaskModule

RATES = ("lr", "max_lr", "base_lr", "min_lr", "eta_min")
"""Arguments of torch's optimizers and schedules that are learning rates."""
Interval = Literal["epoch", "step"]


def check_factories(optimizer: object, lr_scheduler: object) -> None:
    """Check the functions that make a task's optimizer and its schedule, where they are not None."""
    for name, factory in (("optimizer", optimizer), ("lr_scheduler", lr_scheduler)):
        if factory is not None:
            check_factory(name, factory)


def build_optimizers(task: "TaskModule") -> OptimizerLRScheduler:
    """Make what `configure_optimizers` of a task returns, for the parameters that require gradients.

    Raises:
        ValueError: If there is no optimizer, or a factory refuses its arguments, see `build_schedule`.
    """
    if task.optimizer is None:
        raise ValueError(
            "training needs an `optimizer`, and the task has none: give `model.optimizer` in YAML, such as "
            "torch.optim.Adam, or in Python functools.partial(torch.optim.Adam, lr=1e-3)"
        )
    groups = task.optimizer_groups or {}
    weights = (weight for weight in task.parameters() if weight.requires_grad)
    made = build_optimizer(task.optimizer, parameter_groups(task, groups) if groups else weights)
    check_groups(made, groups)
    if task.lr_scheduler is None:
        return made
    trainer, interval = task.trainer, task.lr_scheduler_interval
    num_steps = trainer.max_epochs if interval == "epoch" else trainer.estimated_stepping_batches
    place = Place(made, num_steps, task.monitor, task.mode)
    if unwrap(task.lr_scheduler)[0] is Warmup:
        return [made], _with_warmup(task.lr_scheduler, place, interval, trainer)
    return {"optimizer": made, "lr_scheduler": _config(build_schedule(task.lr_scheduler, place), interval, place)}


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
    given = unwrap(factory)[1]
    for key, value in given.items():
        rates = value if isinstance(value, list | tuple) else [value]
        if key in RATES and not all(0 <= rate < math.inf for rate in rates if isinstance(rate, int | float)):
            raise ValueError(f"`{name}.{key}` must be finite and at least 0, got {value}")
    for part in [*(given.get("schedulers") or []), *filter(None, [given.get("after")])]:
        check_factory(name, part)


def build_optimizer(factory: OptimizerCallable, parameters: Iterable[Any]) -> Optimizer:
    """Make an optimizer.

    Raises:
        ValueError: If the factory refuses its arguments, or makes something else.
    """
    try:
        made = factory(parameters)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(f"`optimizer` cannot be made: {error}") from error
    if not isinstance(made, Optimizer):
        raise ValueError(f"`optimizer` must make a torch.optim.Optimizer, got {type(made).__name__}")
    return made


def _config(schedule: LRScheduler, interval: Interval, place: Place) -> Any:
    """Return a schedule as Lightning takes it; its own class of plateau schedules says what it monitors."""
    return {"scheduler": schedule, "interval": interval, "monitor": getattr(schedule, "monitor", place.monitor)}


def _with_warmup(factory: Any, place: Place, interval: Interval, trainer: Trainer) -> list[Any]:
    """Return a warm-up by step, and the schedule after it, as Lightning takes them."""
    given = unwrap(factory)[1]
    per_epoch = trainer.estimated_stepping_batches and trainer.num_training_batches / trainer.accumulate_grad_batches
    steps_per_epoch = math.ceil(per_epoch) if per_epoch < math.inf else math.inf
    number = warmup_steps(given, trainer.estimated_stepping_batches, steps_per_epoch)
    configs = []
    if after := given.get("after"):
        begins = number if interval == "step" else math.ceil(number / steps_per_epoch)
        configs = [_config(after_warmup(after, begins, place), interval, place)]
    start_factor = given.get("start_factor", parameters_of(Warmup)["start_factor"].default)
    try:  # the warm-up comes last: it changes the rate at once
        return [_config(LinearLR(place.optimizer, start_factor, total_iters=number), "step", place), *configs]
    except ValueError as error:
        raise ValueError(f"`lr_scheduler` cannot be made: {error}") from error

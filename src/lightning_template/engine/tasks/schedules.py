"""Learning rate schedules that are as long as the run, and schedules that are made of others."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from lightning_template.engine.tasks.warmup import Warmup, is_known

Factory = Callable[..., LRScheduler]
FILLED = ("T_max", "num_training_steps", "total_iters", "total_steps")
"""Arguments of torch's schedules, and of functions, that are the length of the run where they are not given."""
COUNTS = (*FILLED, "T_0", "num_warmup_steps", "step_size", "step_size_down", "step_size_up")
"""Arguments that count the steps of a schedule; given as a number below 1, they are a share of the run."""
PEAKS = ("base_lr", "max_lr")
"""Arguments that set learning rates, rather than change those of the optimizer."""


@dataclass(frozen=True)
class Place:
    """What a schedule is made for.

    Args:
        optimizer: Optimizer whose learning rates it sets.
        num_steps: How often it will step; None, infinite or -1 if the run has no end.
        monitor: Quantity that a plateau schedule watches.
        mode: Whether the smallest or the largest value of that is the best.
    """

    optimizer: Optimizer
    num_steps: float | None
    monitor: str
    mode: Literal["min", "max"]


def unwrap(factory: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class or function that a `functools.partial` calls, also one made from YAML, and its keywords."""
    if not isinstance(factory, functools.partial):
        return factory, {}
    return (factory.args[-1] if factory.args else factory.func), dict(factory.keywords)


def parameters_of(target: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class, those that it hands on to its base included, or of a function.

    The defaults of torch's own lengths are None here: these are the length of the run, too.
    """
    found: dict[str, inspect.Parameter] = {}
    bases = [base for base in getattr(target, "__mro__", ()) if "__init__" in vars(base)]
    for maker in bases or [target]:
        try:
            parameters = inspect.signature(maker).parameters.values()
        except (TypeError, ValueError):
            break
        for parameter in parameters:
            has_default = parameter.name in FILLED and parameter.default is not parameter.empty
            of_torch = getattr(maker, "__module__", "") == "torch.optim.lr_scheduler"
            found.setdefault(parameter.name, parameter.replace(default=None) if has_default and of_torch else parameter)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def is_filled(parameter: inspect.Parameter) -> bool:
    """Tell whether an argument is the length of the run where it is not given: one's own default is as it is."""
    return parameter.name in FILLED and parameter.default in (None, parameter.empty)


def is_schedule(target: Any) -> bool:
    """Tell whether something is a class of schedules, or a function whose first argument is an `optimizer`."""
    if isinstance(target, type):
        return issubclass(target, LRScheduler)
    return callable(target) and next(iter(parameters_of(target)), None) == "optimizer"


def may_be_left_out(target: Any, name: str) -> bool:
    """Tell whether an argument of a schedule is filled in where it is None: a length, or a plateau schedule's mode."""
    if not is_schedule(target):
        return False
    if name == "mode" and isinstance(target, type) and issubclass(target, ReduceLROnPlateau):
        return True
    return name in (parameters := parameters_of(target)) and is_filled(parameters[name])


def make_schedule(target: Factory, *args: Any, **given: Any) -> LRScheduler:
    """Call a schedule's class or function, as YAML gives its arguments.

    Args:
        target: Class or function.
        *args: The optimizer.
        **given: Keywords. Lengths that are None are left out; functions in `schedulers` are called with the optimizer.

    Raises:
        ValueError: If a length is needed that is None.
    """
    left_out = [name for name, value in given.items() if value is None and may_be_left_out(target, name)]
    for name in left_out:
        if name in (known := parameters_of(target)) and known[name].default is inspect.Parameter.empty:
            raise ValueError(f"`{name}` of {target.__name__} must be given: only a task of this package fills it in")
    given = {name: value for name, value in given.items() if name not in left_out}
    if "schedulers" in given:
        given["schedulers"] = [part if hasattr(part, "step") else part(*args) for part in given["schedulers"]]
    if args and "optimizer" in parameters_of(target):  # torch's `ChainedScheduler` takes it last
        return target(*args[1:], **{"optimizer": args[0], **given})
    return target(*args, **given)


def build_schedule(factory: LRSchedulerCallable, place: Place) -> LRScheduler | ReduceLROnPlateau:
    """Make a schedule, with what is not given filled in: lengths, a plateau schedule's mode.

    Args:
        factory: Makes the schedule; where it is a `functools.partial`, its keywords count as given.
        place: What it is made for.

    Raises:
        ValueError: If it needs a length and the run has no end, is a plateau schedule of the wrong mode, or refuses
            its arguments.
    """
    target, given = unwrap(factory)
    if target is Warmup:
        raise ValueError("`Warmup` cannot be part of another schedule: give that as its `after`")
    own = _lengths(target, given, place) | _peaks(given, place.optimizer) | _plateau(target, given, place)
    if "schedulers" in given:
        milestones = own.get("milestones", given.get("milestones"))
        own["schedulers"] = _parts(given["schedulers"], milestones, place)
    try:
        made = make_schedule(target, place.optimizer, **given | own)
    except (ValueError, TypeError, ArithmeticError, IndexError) as error:
        raise ValueError(f"`lr_scheduler` cannot be made: {error}") from error
    if not isinstance(made, LRScheduler):
        raise ValueError(f"`lr_scheduler` must make a torch.optim.lr_scheduler.LRScheduler, got {type(made).__name__}")
    watched = getattr(made, "monitor", place.monitor)
    if isinstance(made, ReduceLROnPlateau) and watched == place.monitor and made.mode != place.mode:
        raise ValueError(f"`mode` of `ReduceLROnPlateau` must be {place.mode} for this task, got {made.mode}")
    return made


def after_warmup(factory: LRSchedulerCallable, number: int, place: Place) -> LRScheduler:
    """Make a schedule that begins after `number` of its steps, unless it is a plateau schedule."""
    rest = place.num_steps - number if place.num_steps is not None and is_known(place.num_steps) else None
    made = build_schedule(factory, replace(place, num_steps=None if rest is None else max(1, rest)))
    if isinstance(made, ReduceLROnPlateau):
        return made
    if number == 0:  # of epochs, which have no end
        raise ValueError("`Warmup` before a schedule by epoch needs a loader with a length: let it move by step")
    return SequentialLR(place.optimizer, [ConstantLR(place.optimizer, 1.0), made], [number])


def _lengths(target: Any, given: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return the lengths that are not given, and those given as shares."""
    found: dict[str, Any] = {}
    parameters = parameters_of(target)
    for name in [name for name in COUNTS if name in parameters]:
        value = given.get(name)
        if isinstance(value, float):
            found[name] = _count(name, value, place)
        elif value is None and is_filled(parameters[name]) and given.get("epochs") is None:
            found[name] = _known(name, place)
    if isinstance(milestones := given.get("milestones"), list | tuple):
        counts = [_count("milestones", value, place) for value in milestones]
        if sorted(counts) != counts:
            raise ValueError(f"`milestones` of `lr_scheduler` must increase, got {list(milestones)}")
        found["milestones"] = counts
    return found


def _count(name: str, value: float, place: Place) -> int:
    if isinstance(value, float) and 0 < value < 1:
        return max(1, round(value * _known(name, place)))
    if value != int(value):
        raise ValueError(f"`{name}` of `lr_scheduler` must be a whole number, or a share of the run below 1: {value}")
    return int(value)


def _known(name: str, place: Place) -> int:
    if place.num_steps is None or not is_known(place.num_steps):
        raise ValueError(
            f"the learning rate schedule needs `{name}`: set it or `max_epochs`, or `max_steps` if it moves by step"
        )
    return int(place.num_steps)


def _peaks(given: Mapping[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """Return rates for each group, in proportion to the optimizer's, where one rate is given for groups that differ."""
    usual = optimizer.defaults.get("lr")
    rates = [group["lr"] for group in optimizer.param_groups]
    if not usual or all(rate == usual for rate in rates):
        return {}
    return {name: [given[name] * rate / usual for rate in rates] for name in PEAKS if _is_number(given.get(name))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _plateau(target: Any, given: Mapping[str, Any], place: Place) -> dict[str, Any]:
    if not (isinstance(target, type) and issubclass(target, ReduceLROnPlateau)) or given.get("mode") is not None:
        return {}
    if (watched := given.get("monitor", place.monitor)) != place.monitor:
        raise ValueError(f"`mode` of `ReduceLROnPlateau` must be given for {watched}, which the task does not monitor")
    return {"mode": place.mode}


def _parts(factories: Any, milestones: list[int] | None, place: Place) -> list[LRScheduler]:
    """Make the parts of a schedule; with milestones, each is as long as its part of the run."""
    lengths: list[float | None] = [place.num_steps] * len(factories)
    if milestones is not None:
        end = place.num_steps if is_known(place.num_steps) else None
        ends: list[float | None] = [*milestones, end]
        starts = [0, *milestones]
        lengths = [None if end is None else max(1, end - start) for start, end in zip(starts, ends, strict=True)]
        lengths += [1] * (len(factories) - len(lengths))  # too few milestones: torch says so
    parts = [replace(place, num_steps=length) for length in lengths]
    return [build_schedule(factory, part) for factory, part in zip(factories, parts, strict=False)]

"""Checks of a parsed configuration, before anything that it names is built."""

import inspect
import math
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_template.engine.cli.parser import signature
from lightning_template.engine.tasks.schedules import may_be_left_out

MAX_PROCESSES_PER_CORE = 32
"""Largest number of loader workers, or of training processes on the CPU, for each core of the machine."""

_TOO_LARGE = 2**63
"""First whole number that neither torch nor numpy can hold."""

_Check = tuple[Callable[[Any], bool], str]
_AT_LEAST_1: _Check = (lambda value: value >= 1, "must be at least 1")
_NOT_NEGATIVE: _Check = (lambda value: value >= 0, "must be at least 0")
TRAINER: Mapping[str, _Check] = {
    "accumulate_grad_batches": _AT_LEAST_1,
    "check_val_every_n_epoch": _AT_LEAST_1,
    "gradient_clip_val": _NOT_NEGATIVE,
    "log_every_n_steps": _NOT_NEGATIVE,
    "min_epochs": _NOT_NEGATIVE,
    "min_steps": _NOT_NEGATIVE,
    "num_nodes": _AT_LEAST_1,
    "num_sanity_val_steps": (lambda value: value >= -1, "must be at least -1, which stands for all batches"),
    "val_check_interval": (lambda value: isinstance(value, str) or value > 0, "must be greater than 0"),
}
"""Bounds of the Trainer's options that Lightning does not check, or without naming the option."""
LENGTH: Mapping[str, _Check] = {
    "max_epochs": (lambda value: value == -1 or value >= 1, "must be at least 1, or -1 for no limit"),
    "max_steps": (lambda value: value == -1 or value >= 1, "must be at least 1, or -1 for no limit"),
    "limit_train_batches": (lambda value: value != 0, "must be greater than 0, or nothing is trained"),
}
"""Bounds of what says how long `fit` trains."""


def check_values(config: Mapping[str, Any], subcommand: str) -> None:
    """Check the values of a configuration that no type refuses though they make no sense.

    Args:
        config: Plain configuration of a subcommand of the Trainer; classes are dicts of `class_path` and `init_args`.
        subcommand: Its name.

    Raises:
        ValueError: If a value is out of its bounds, or null where there must be one.
    """
    seed = config.get("seed_everything")
    if seed is not None and not 0 <= seed < 2**32:
        raise ValueError(f"`seed_everything` must lie in [0, 2^32), got {seed}")
    for key, value in _leaves(config):
        if isinstance(value, int) and not -_TOO_LARGE <= value < _TOO_LARGE:
            raise ValueError(f"`{key}` must lie in [-2^63, 2^63), got {value}")
        if isinstance(value, float) and math.isnan(value) and key.startswith(("trainer.", "callbacks.")):
            raise ValueError(f"`{key}` must be a number, got {value}")
    _check_no_null("trainer", "lightning.pytorch.Trainer", config.get("trainer") or {})
    for key, part in config.items():
        _check_classes(key, part)
    trainer = config.get("trainer") or {}
    for name, (is_valid, requirement) in {**TRAINER, **(LENGTH if subcommand == "fit" else {})}.items():
        value = trainer.get(name)
        if value is not None and not isinstance(value, Mapping) and not is_valid(value):
            raise ValueError(f"`trainer.{name}` {requirement}, got {value}")
    _check_devices(trainer)
    _check_max_time(trainer.get("max_time"))
    for key, value in _leaves(config.get("data") or {}, "data"):
        if key.endswith(".num_workers") and isinstance(value, int) and not 0 <= value <= max_processes():
            raise ValueError(f"`{key}` must lie in [0, {max_processes()}] on this machine, got {value}")


def max_processes() -> int:
    """Return the largest number of processes that a run may start on this machine."""
    return MAX_PROCESSES_PER_CORE * (os.cpu_count() or 1)


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a configuration with their keys, as options are typed."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, prefix if key in ("class_path", "init_args") else f"{prefix}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, prefix)
    else:
        yield prefix, value


def _check_classes(key: str, value: Any) -> None:
    """Check the arguments of the classes in a configuration for null."""
    if isinstance(value, list | tuple):
        for item in value:
            _check_classes(key, item)
    if not isinstance(value, Mapping):
        return
    arguments = value.get("init_args")
    if isinstance(value.get("class_path"), str) and isinstance(arguments, Mapping):
        _check_no_null(key, value["class_path"], arguments)
        value = arguments
    for name, item in value.items():
        _check_classes(f"{key}.{name}", item)


def _check_no_null(key: str, class_path: str, arguments: Mapping[str, Any]) -> None:
    nulls = [name for name, value in arguments.items() if value is None and not _is_left_out(class_path, name)]
    hints = _types(class_path) if nulls else {}
    for name in nulls:
        if name in hints and not _takes_none(hints[name]) and name not in signature(class_path).left_out:
            kind = hints[name]
            raise ValueError(f"`{key}.{name}` must be {kind if get_origin(kind) else kind.__name__}, got null")


def _is_left_out(class_path: str, name: str) -> bool:
    try:
        return may_be_left_out(pkgutil.resolve_name(class_path), name)
    except (ImportError, AttributeError, ValueError):  # of code that is not ours
        return False


def _types(class_path: str) -> dict[str, Any]:
    """Return the types of the parameters of a class or function whose default is not None, as far as they are known."""
    types: dict[str, Any] = {}
    try:
        target = pkgutil.resolve_name(class_path)
        bases = reversed(target.__mro__) if isinstance(target, type) else [target]
        functions = [vars(base).get("__init__") for base in bases] if isinstance(target, type) else list(bases)
        for function in filter(inspect.isroutine, functions):
            hints = get_type_hints(function)
            parameters = inspect.signature(function).parameters.values()
            types |= {p.name: Any if p.default is None else hints.get(p.name, Any) for p in parameters}
    except Exception:  # of code that is not ours: a constructor itself says what it does not take
        return {}
    return types


def _takes_none(kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(map(_takes_none, get_args(kind)))
    if get_origin(kind) is Literal:
        return None in get_args(kind)
    return kind in (Any, object, type(None)) or not (isinstance(kind, type) or get_origin(kind))


def _check_devices(trainer: Mapping[str, Any]) -> None:
    devices = trainer.get("devices", "auto")
    if isinstance(devices, str) and devices != "auto" and not re.fullmatch(r"-?\d+(,\s*\d+)*,?", devices):
        raise ValueError(f"`trainer.devices` must be a number, a list of numbers or auto, got {devices}")
    try:
        number = int(devices)
    except (TypeError, ValueError):
        return
    limit = max_processes() if trainer.get("accelerator", "auto") in ("auto", "cpu") else math.inf
    if number < -1 or number == 0 or number > limit:
        bounds = f"-1 for all, or lie in [1, {limit}]" if limit < math.inf else "-1 for all, or at least 1"
        raise ValueError(f"`trainer.devices` must be {bounds}, got {devices}")


def _check_max_time(max_time: Any) -> None:
    if isinstance(max_time, str) and not re.fullmatch(r"(?=.*[1-9])\d+:\d\d:\d\d:\d\d", max_time):
        raise ValueError(f"`trainer.max_time` must be DD:HH:MM:SS and greater than 0, got {max_time}")

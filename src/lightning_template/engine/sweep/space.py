"""Space of a study, from a YAML file or the command line. Imports no torch."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_template.engine.process.errors import nearest
from lightning_template.engine.sweep.values import Parameter, Range, label_of

KEYS = ("choices", "low", "high", "log", "step", "when")
NOT_SEARCHED = {
    "seed_everything": "give --seeds N for several seeds of each trial",
    "experiment": "the study names it",
    "config": "give --config once, it is the same for all trials",
    "ckpt_path": "trials train from the start",
    "trainer.default_root_dir": "the study has one folder",
}
"""Options that a space must not hold, and what to do instead."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def read_space(given: Sequence[str], read: Any) -> list[Parameter]:
    """Return the options of a space, those that decide on others first.

    Args:
        given: Values of `--space`: YAML files, or `OPTION=VALUES`. Later ones override earlier ones.
        read: Reads a YAML file of keys and values.

    Raises:
        ValueError: If one is not understood.
    """
    found: dict[str, Parameter] = {}
    for text in given:
        name, equals, values = text.partition("=")
        if equals:
            found[name] = Parameter(_checked(name.removeprefix("--")), _short(name, values))
            continue
        for key, value in read(Path(text)).items():
            found[str(key)] = _parameter(_checked(str(key)), value)
    if not found:
        raise ValueError("the space is empty: give --space OPTION=VALUES or --space FILE")
    return _ordered(list(found.values()))


def _checked(name: str) -> str:
    if name in NOT_SEARCHED:
        raise ValueError(f"`{name}` cannot be searched: {NOT_SEARCHED[name]}")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", name):
        raise ValueError(f"the space needs options such as model.optimizer.lr, got {name!r}")
    return name


def _short(name: str, text: str) -> Range | tuple[Any, ...]:
    """Return what `1e-4..1e-1:log`, `16..64:step=16` or `a,b,c` means."""
    if match := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})((?::[^:]*)*)", text):
        entries: dict[str, Any] = {"low": match[1], "high": match[2]}
        for word in match[3].split(":")[1:]:
            key, _, value = word.partition("=")
            entries[key] = value or True
        return _range(name, entries)
    if ".." in text and re.match(rf"{_NUMBER}\.\.", text):
        raise ValueError(f"`{name}`: a range is LOW..HIGH, LOW..HIGH:log or LOW..HIGH:step=STEP, got {text}")
    try:
        values = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError as error:
        raise ValueError(f"`{name}`: choices are values with commas between them, got {text}") from error
    return _choices(name, values)


def _parameter(name: str, value: Any) -> Parameter:
    if isinstance(value, list):
        return Parameter(name, _choices(name, value))
    if isinstance(value, str):
        return Parameter(name, _short(name, value))
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a list of choices, a range LOW..HIGH or keys ({', '.join(KEYS)})")
    for key in value:
        if key not in KEYS:
            raise ValueError(f"`{name}`: `{key}` is not one of {', '.join(KEYS)}{nearest(str(key), KEYS)}")
    given = value.get("when") or {}
    if not isinstance(given, Mapping):
        raise ValueError(f"`{name}`: `when` must hold options and their values, got {given}")
    when = {key: tuple(part) if isinstance(part, list) else (part,) for key, part in given.items()}
    if "choices" not in value:
        return Parameter(name, _range(name, {key: part for key, part in value.items() if key != "when"}), when)
    if {*value} - {"choices", "when"}:
        raise ValueError(f"`{name}` has choices, so it is no range: leave out {', '.join({*value} - {'choices'})}")
    if not isinstance(value["choices"], list):
        raise ValueError(f"`{name}`: `choices` must be a list, got {value['choices']}")
    return Parameter(name, _choices(name, value["choices"]), when)


def _choices(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    labels = [label_of(value) for value in values]
    if not labels:
        raise ValueError(f"`{name}` has no values")
    if len({*labels}) < len(labels):
        raise ValueError(f"`{name}` has {next(label for label in labels if labels.count(label) > 1)} twice")
    return tuple(values)


def _range(name: str, entries: Mapping[str, Any]) -> Range:
    """Return a range of checked ends.

    Raises:
        ValueError: If there is none.
    """
    for key in entries:
        if key not in KEYS[1:5]:
            raise ValueError(f"`{name}`: `{key}` is not one of log, step=STEP{nearest(key, KEYS[1:5])}")
    if missing := {"low", "high"} - entries.keys():
        raise ValueError(f"`{name}`: a range needs low and high, {' and '.join(sorted(missing))} missing")
    low, high = (_number(name, key, entries[key]) for key in ("low", "high"))
    step = None if entries.get("step") is None else _number(name, "step", entries["step"])
    log = entries.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"`{name}`: `log` must be true or false, got {log}")
    if low >= high:
        raise ValueError(f"`{name}`: low must be less than high, got {low} and {high}")
    if log and (low <= 0 or step is not None):
        reason = "low must be greater than 0 with log" if low <= 0 else "log and step exclude one another"
        raise ValueError(f"`{name}`: {reason}, got {low} to {high}")
    if step is not None:
        if not 0 < step <= high - low:
            raise ValueError(f"`{name}`: step must be greater than 0 and fit in the range, got {step}")
        high = low + math.floor((high - low) / step + 1e-9) * step
    return Range(low, high, step, log)


def _number(name: str, key: str, value: Any) -> float:
    """Return a number; YAML takes 1e-4 for a text."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        value = int(value) if re.fullmatch(r"[-+]?\d+", value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"`{name}`: {key} must be a number, got {value}")
    return value


def _ordered(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Return parameters, those that a `when` names before those that have it.

    Raises:
        ValueError: If a `when` names something else than choices of the space, or they depend on one another.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters:
        for name, values in parameter.when.items():
            _check_condition(parameter.name, name, values, known)
    found: list[Parameter] = []
    while rest := [parameter for parameter in parameters if parameter not in found]:
        placed = {parameter.name for parameter in found}
        ready = [parameter for parameter in rest if parameter.when.keys() <= placed]
        if not ready:
            raise ValueError(f"`when` of {' and '.join(parameter.name for parameter in rest)} depend on one another")
        found += ready
    return found


def _check_condition(name: str, other: str, values: tuple[Any, ...], known: Mapping[str, Parameter]) -> None:
    if other not in known:
        raise ValueError(f"`{name}`: `when` names {other}, which the space does not have{nearest(other, known)}")
    choices = known[other].values
    if isinstance(choices, Range):
        raise ValueError(f"`{name}`: `when` needs an option with choices, {other} is a range")
    labels = [label_of(choice) for choice in choices]
    for value in values:
        if label_of(value) not in labels:
            hint = nearest(label_of(value), labels)
            raise ValueError(f"`{name}`: `when` names {label_of(value)}, which is no choice of {other}{hint}")


def option_args(point: Mapping[str, Any]) -> list[str]:
    """Return the values of a point as on the command line, classes before their arguments."""
    return [f"--{name}={label_of(point[name])}" for name in sorted(point, key=lambda name: name.count("."))]


def examples(space: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """Yield few points that hold every choice and both ends of every range."""
    for number in range(max(len(parameter.examples()) for parameter in space)):
        yield _point(space, number, {})
    for parameter in space:
        for value in parameter.examples() if parameter.when else ():
            wanted = {parameter.name: value}
            for other in reversed(space):
                if other.name in wanted:
                    wanted |= {name: values[0] for name, values in other.when.items() if name not in wanted}
            yield _point(space, 0, wanted)


def _point(space: Sequence[Parameter], number: int, wanted: Mapping[str, Any]) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for parameter in space:
        if parameter.is_searched(point):
            values = parameter.examples()
            point[parameter.name] = wanted.get(parameter.name, values[number % len(values)])
    return point


def grid(space: Sequence[Parameter]) -> Iterator[dict[str, Any]] | None:
    """Return all points of a space, the last option first; None if it has ranges that are not counted."""
    counted = {
        parameter.name: parameter.values.grid() if isinstance(parameter.values, Range) else list(parameter.values)
        for parameter in space
    }
    if any(values is None for values in counted.values()):
        return None
    return _grid(space, counted, {})


def _grid(space: Sequence[Parameter], counted: Mapping[str, Any], point: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not space:
        yield point
        return
    first, *rest = space
    for value in counted[first.name] if first.is_searched(point) else [None]:
        yield from _grid(rest, counted, point | ({first.name: value} if first.is_searched(point) else {}))

"""Every option of a subcommand, also of the classes that its configuration names, with its present value."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from lightning_template.engine.cli.command_line import read_config, values_of
from lightning_template.engine.cli.config_names import overlay_files
from lightning_template.engine.cli.parser import signature

MAX_TEXT = 60
"""Number of characters of a value that a message shows."""


def known_options(parser: ArgumentParser, args: Sequence[str]) -> dict[str, str]:
    """Return the present value of each option as text; empty for overlays, and where no configuration is given.

    The command line has a mistake, so that it is not parsed as a whole.

    Args:
        parser: Parser of the subcommand.
        args: Subcommand and arguments.
    """
    defaults = parser.get_defaults()
    options = {_as_typed(key): None for key in defaults.keys()} | dict(_flat(defaults.as_dict()))  # noqa: SIM118  # all depths
    files = values_of(args, "--config", "-c")
    given = {name: value for file in files for name, value in _flat(read_config(Path(file)))} | dict(_typed(args))
    waiting = list(options)
    while waiting:
        name = waiting.pop()
        arguments = _flat(_arguments(given.get(name, options[name])), name)
        new = {option: value for option, value in arguments if option not in options}
        options |= new
        waiting += new
    known = {name: _text(given.get(name, value)) if files else "" for name, value in options.items()}
    return known | {f"--with {file.stem}": "" for file in overlay_files()}


def _as_typed(key: str) -> str:
    """Return a key of a configuration as an option is typed."""
    return re.sub(r"\.(?:class_path|init_args)\b", "", key).removesuffix("+")


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield options and their values, classes by their paths."""
    for key, value in values.items():
        name = _as_typed(f"{above}.{key}").lstrip(".")
        if not isinstance(value, Mapping):
            yield name, value
            continue
        if key != "init_args" and not {"init_args", "class_path"} & value.keys():
            yield name, dict(value)
        yield from _flat(value, name)


def _typed(args: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield options on the command line and their values."""
    for arg, after in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = arg.partition("=")
        if name.startswith("--") and (equals or not after.startswith("--")):
            try:
                yield _as_typed(name.removeprefix("--")), yaml.safe_load(value if equals else after)
            except yaml.YAMLError:
                continue


def _arguments(value: Any) -> Mapping[str, Any]:
    """Return the arguments of a class or function and their defaults; nothing for any other value.

    No module is imported that is not yet: the value may be a text like a class's path.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[\w.]+\.\w+", value):
        return {}
    module, _, name = value.rpartition(".")
    target = getattr(sys.modules.get(module), name, None)
    if not (inspect.isclass(target) or inspect.isroutine(target)):
        return {}
    try:
        return signature(value).defaults
    except Exception:  # of code that is not ours: its options are not known
        return {}


def _text(value: Any) -> str:
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    except yaml.YAMLError:  # a default that is an object
        text = str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."

"""Options of the commands that look at a configuration. Imports no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_template.engine.runs.files import refusal


def check_place(file: Path, suffix: str) -> None:
    """Check that a file can be written, before anything is computed.

    Raises:
        ValueError: If its name has another suffix, or its folder is not there or takes no file.
    """
    if file.suffix != suffix:
        raise ValueError(f"--output must be a file that ends in {suffix}, got {file}")
    if file.is_dir() or not file.parent.is_dir():
        reason = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise ValueError(f"cannot write {file}: {reason}")
    if refused := refusal(file.parent):
        raise ValueError(f"cannot write {file}: {refused}")


def read_options(args: Sequence[str], own: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the values of a command's own options, by name, and the other arguments, which are those of `fit`.

    Args:
        args: What follows the command.
        own: Its options with their default values.

    Raises:
        ValueError: If an option has no value, or a checkpoint is given.
    """
    values, others, rest = dict(own), list[str](), iter(args)
    for arg in rest:
        name, equals, value = arg.partition("=")
        if name in own:
            values[name] = value if equals else next(rest, "")
            if not values[name]:
                raise ValueError(f"{name} needs a value")
        else:
            others.append(arg)
    if any(arg.split("=")[0] == "--ckpt_path" for arg in others):
        raise ValueError("an untrained task is looked at: leave out --ckpt_path")
    return values, others

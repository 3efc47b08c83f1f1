"""The parser of the commands that are not the Trainer's."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lightning_template.engine.process.errors import nearest
from lightning_template.engine.process.slips import is_like_a_file, meant_subcommand


class CommandParser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and leaves it to the caller to say what is wrong.

    Args:
        prog: Name of the subcommand.
        options: As `argparse.ArgumentParser` takes them.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        self.names: set[str] = set()
        """Names of its arguments."""
        self._commands: Mapping[str, CommandParser] = {}
        super().__init__(prog, **{"add_help": False, "allow_abbrev": False} | options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an argument, and remember its names."""
        self.names.update(names)
        return super().add_argument(*names, **options)

    def add_subparsers(self, **options: Any) -> Any:
        """Add commands, and remember them."""
        action = super().add_subparsers(**options)
        self._commands = action.choices
        return action

    def parse_args(self, args: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]  # no namespace is given
        """Parse arguments, unless an option is unknown: what comes after it would be taken for a command."""
        known = self.names.union(*(parser.names for parser in self._commands.values()))
        for name in (arg.split("=")[0] for arg in args):
            if name.startswith("--") and name not in known:
                self.error(f"`{name}` is not an option{nearest(name, known)}")
        return super().parse_args(args)

    def error(self, message: str) -> NoReturn:
        """Raise a `ValueError` with the message, and a hint at what is meant."""
        command = self.prog.split()[0]
        if match := re.match(r"argument command: invalid choice: '(.*?)' \(", message):
            hint = nearest(match[1], self._commands)
            hint = hint or ("" if is_like_a_file(match[1]) else meant_subcommand(match[1]))
            message = f"no command `{command} {match[1]}`{hint}"
        raise ValueError(f"{message} (lightning-template {command} --help tells more)")

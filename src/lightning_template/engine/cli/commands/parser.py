"""The parser of the commands that are not the Trainer's."""

import argparse
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and leaves it to the caller to say what is wrong.

    Args:
        prog: Name of the subcommand.
        options: As `argparse.ArgumentParser` takes them.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"add_help": False, "allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        """Raise a `ValueError` with the message."""
        raise ValueError(f"{message} (lightning-template {self.prog.split()[0]} --help tells more)")

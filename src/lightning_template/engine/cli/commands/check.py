"""`lightning-template check`: whether the task and the data of a configuration are sound."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from lightning_template.engine.cli.command_line import read_command_line

if TYPE_CHECKING:
    from lightning_template.testing import CheckResult

HELP = """\
usage: lightning-template check --config FILE [--only CHECK] [--strict] [--json] [options]

Builds the task and the data as fit would, looks at a few batches on the CPU, and tells what is wrong with them: loss,
gradients, leaks, metrics, checkpoints, export and more. Trains no run and writes nothing.

  --config FILE        experiment, such as configs/fashion_mnist/cnn.yaml, or its name: cnn; further ones override it
  --with NAME          overlay in configs/with, such as no_decay
  --only CHECK         run this check alone; can be given several times
  --strict             take advice, on what trains rightly on one device, for a failure
  --json               print JSON
  --model.KEY VALUE    any argument of the task; so are all other options those of fit

Exit status: 0 if no check failed, 1 if one failed, 2 if task or data cannot be built.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `check` on the command line.

    Returns:
        Exit status: 0 if no check failed, otherwise 1.

    Raises:
        ValueError: If the command line or the configuration is not valid.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    only, others = _taken(args, "--only")
    command_line = read_command_line(["fit", *(arg for arg in others if arg not in ("--json", "--strict"))])
    if "--ckpt_path" in command_line.args:
        raise ValueError("`check` looks at untrained tasks: leave out --ckpt_path")
    from lightning_template.engine.cli.idle_cli import factories  # takes seconds: imports torch
    from lightning_template.testing import ChecksFailed, check_task
    from lightning_template.testing.running import known_checks

    known_checks(only, "--only")
    try:
        with redirect_stdout(sys.stderr):  # what the module prints
            results = check_task(*factories(command_line), only=only, strict="--strict" in args)
    except ChecksFailed as error:
        results = error.results
    if "--json" in args:
        sys.stdout.write(json.dumps([dataclasses.asdict(result) for result in results], indent=2) + "\n")
    else:
        _print_table(results)
    return int(any(result.outcome == "failed" for result in results))


def _taken(args: Sequence[str], option: str) -> tuple[list[str], list[str]]:
    """Return the values of an option that can be given several times, and the other arguments."""
    values, others, rest = [], [], iter(args)
    for arg in rest:
        if arg == option:
            values.append(next(rest, ""))
        elif arg.startswith(f"{option}="):
            values.append(arg.removeprefix(f"{option}="))
        else:
            others.append(arg)
    return values, others


def _print_table(results: Sequence["CheckResult"]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from lightning_template.testing.running import summary

    styles = {"passed": "green", "failed": "bold red", "skipped": "dim", "advice": "yellow"}  # none expected to fail
    table = Table(Column("check", no_wrap=True), "outcome", "seconds", "message", box=None)
    for result in sorted(results, key=lambda result: result.outcome == "advice"):  # advice apart, at the end
        table.add_row(
            result.check, Text(result.outcome, styles[result.outcome]), f"{result.seconds:.1f}", Text(result.text)
        )
    Console(file=sys.stdout).print(table)
    sys.stdout.write(summary(results) + "\n")

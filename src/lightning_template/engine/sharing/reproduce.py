"""`lightning-template reproduce`: trains a run again and compares the weights. Torch is imported for the training."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.printing import print_lines, print_table, value_text
from lightning_template.engine.cli.commands.runs import find
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.runs.changes import flatten
from lightning_template.engine.runs.directories import find_runs, read_json
from lightning_template.engine.runs.files import refusal

DIGESTS = "digests.json"
COMPARED = ("data", "initial", "steps", "final")
CAUSES = {
    "version": ("python", "packages"),
    "hardware": ("platform", "device", "num_threads"),
    "code": ("git_commit", "git_changed", "git_diff"),
}
"""Entries of `environment.json` that may be why weights differ, by what they are of."""
HELP = """\
usage: lightning-template reproduce RUN [--output FOLDER] [--root DIR]

Trains the configuration of a run again, and tells whether the weights are the same to the bit. If not, it tells which
of version, hardware, data and code differs.

  RUN              a run directory, EXPERIMENT/version_N, or EXPERIMENT for its newest run
  --output FOLDER  folder that keeps the new run; it is deleted if this is not given
  --root DIR       folder that holds lightning_logs/

Exit status: 0 if the weights are the same, 1 if they differ, 2 if the run cannot be repeated.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `reproduce` on the command line.

    Raises:
        ValueError: If there is no such run, or it has nothing to compare with.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    parser = CommandParser("reproduce")
    parser.add_argument("run")
    parser.add_argument("--output")
    parser.add_argument("--root", default=".")
    options = parser.parse_args(args)
    run = find(Path(options.root), options.run)
    before = _digests(run)
    if not options.output:
        with tempfile.TemporaryDirectory() as folder:
            return _compare(run, before, _train(run, Path(folder)))
    above = next(path for path in (Path(options.output), *Path(options.output).absolute().parents) if path.exists())
    if not above.is_dir() or (reason := refusal(above)):
        raise ValueError(f"cannot write into {options.output}: {reason if above.is_dir() else 'a file is there'}")
    again = _train(run, Path(options.output))
    print_lines(f"the new run is {again}")
    return _compare(run, before, again)


def _digests(run: Path) -> dict[str, Any]:
    """Return the digests of a run that can be repeated.

    Raises:
        ValueError: If it has none of its final weights, or no configuration.
    """
    digests = read_json(run / DIGESTS)
    if not digests:
        raise ValueError(f"{run} has no digests of its weights to compare with: an earlier version trained it")
    if not digests.get("final"):
        raise ValueError(f"{run} has no digest of final weights: it did not finish, or its weights are sharded")
    if not (run / "config.yaml").is_file():
        raise ValueError(f"{run} has no config.yaml, which says what to train: it was made in Python")
    return digests


def _train(run: Path, root: Path) -> Path:
    """Train a run's configuration in another folder, and return the new run directory."""
    from lightning_template.engine.cli.command_line import read_command_line

    args = ["fit", "--config", str(run / "config.yaml"), "--trainer.default_root_dir", str(root)]
    args += ["--trainer.logger", "true"]  # on this machine alone, whatever the run logged to
    with stop_signals.listen():
        command_line = read_command_line(args)
        from lightning_template.engine.cli.silent_cli import run_silently  # takes seconds: imports torch

        before = set(find_runs(root, command_line.experiment))
        run_silently(command_line)
    (again,) = set(find_runs(root, command_line.experiment)) - before
    return again


def _compare(run: Path, before: Mapping[str, Any], again: Path) -> int:
    """Print what is the same and what differs, and return the exit status."""
    after = read_json(again / DIGESTS)
    pairs = {name: (before.get(name), after.get(name)) for name in COMPARED}
    print_table([["", "run", "again", ""], *([name, *map(_short, pair), _same(*pair)] for name, pair in pairs.items())])
    if pairs["final"][0] == pairs["final"][1]:
        print_lines("the final weights are the same to the bit")
        return 0
    lines = ["the final weights differ" + (", and so do the initial ones" if _differ(*pairs["initial"]) else "")]
    causes = _causes(*(read_json(path / "environment.json") for path in (run, again)))
    if _differ(*pairs["data"]):
        causes["data"] = ["their digests"]
    elif pairs["data"][0] is None:
        lines.append("data: whether they differ is not known, as they are neither named files nor tensors in memory")
    lines += [f"{kind} differs: {'; '.join(found)}" for kind, found in causes.items()]
    if not causes:
        lines.append(
            "neither version, hardware, data nor code differs, as far as was recorded: an operation may not be "
            "deterministic, and `fit --with deterministic` names it"
        )
    print_lines("\n".join(lines))
    return 1


def _causes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what differs between two environments, by what it is of."""
    causes: dict[str, list[str]] = {}
    for kind, names in CAUSES.items():
        one, two = (flatten({name: environment.get(name) for name in names}) for environment in (before, after))
        found = [
            f"{name.removeprefix('packages.')} {_short(one.get(name))} is now {_short(two.get(name))}"
            for name in {**one, **two}
            if one.get(name) != two.get(name)
        ]
        causes |= {kind: found} if found else {}
    return causes


def _differ(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one != other


def _same(one: Any, other: Any) -> str:
    return "unknown" if one is None or other is None else "same" if one == other else "differs"


def _short(value: Any) -> str:
    """Return a value as it is read; of a digest the beginning is enough."""
    text = "none" if value is None else value_text(value)
    return text if len(text) <= 60 and not (len(text) in (40, 64) and text.isalnum()) else f"{text[:12]}..."

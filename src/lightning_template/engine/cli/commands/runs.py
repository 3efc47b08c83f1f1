"""`lightning-template runs`: lists, shows and compares runs from the files they leave. Imports no torch."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.printing import print_json, print_lines, print_table, value_text
from lightning_template.engine.process.errors import printable
from lightning_template.engine.runs import directories as runs
from lightning_template.engine.runs.changes import changes
from lightning_template.engine.runs.names import split_name

COLUMNS = ("experiment", "version", "state", "epochs", "best", "test", "duration", "commit", "started")
SORTED_BY = ("experiment", "state", "epochs", "best", "duration", "started")
LARGEST_TEXT = 1 << 20
"""Number of bytes beyond which a configuration is not shown."""
HELP = """\
usage: lightning-template runs [--experiment NAME] [--state STATE] [--sort COLUMN] [--json] [--root DIR]
       lightning-template runs show RUN [--json]
       lightning-template runs diff RUN RUN [--json]
       lightning-template runs best EXPERIMENT

  show       configuration, overrides, metrics and environment of a run
  diff       what differs between two runs, in configuration and result
  best       print the directory of the experiment's best run, for scripts

  --experiment NAME    only runs of this experiment
  --state STATE        only runs that are running, finished, interrupted (stopped or killed) or failed
  --sort COLUMN        experiment, state, epochs, best, duration or started; the best or newest comes last
  --json               print JSON
  --root DIR           folder that holds lightning_logs/

RUN is a run directory, or EXPERIMENT/version_N, or EXPERIMENT for its newest run.
"""


def main(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: What follows `runs` on the command line.

    Raises:
        ValueError: If the command line is not valid, or there is no such run.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return
    options = _parser().parse_args(args)
    root = Path(options.root)
    if options.command == "show":
        _show(find(root, options.run), options.json)
    elif options.command == "diff":
        _diff(find(root, options.run), find(root, options.other), options.json)
    elif options.command == "best":
        print_lines(f"{best(root, options.experiment)}")
    else:
        _list(root, options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("runs")
    commands = parser.add_subparsers(dest="command")
    names = {None: [], "show": ["run"], "diff": ["run", "other"], "best": ["experiment"]}
    for name, positionals in names.items():
        command = parser if name is None else commands.add_parser(name)
        for positional in positionals:
            command.add_argument(positional)
        # not given after a subcommand must not undo what was given before it
        command.add_argument("--root", default="." if name is None else argparse.SUPPRESS)
        command.add_argument("--json", action="store_true", default=False if name is None else argparse.SUPPRESS)
    parser.add_argument("--experiment")
    parser.add_argument("--state", choices=runs.STATES)
    parser.add_argument("--sort", choices=SORTED_BY)
    return parser


def find(root: Path, name: str) -> Path:
    """Return the directory of the run that a user means.

    Args:
        root: Folder that holds `lightning_logs`.
        name: A run directory, `EXPERIMENT/version_N`, or `EXPERIMENT` for its newest run.

    Raises:
        ValueError: If there is no such run.
    """
    for path in (Path(name), root / runs.LOGS / name):
        if runs.version_of(path.absolute()) >= 0 and path.is_dir():
            return path
    of_experiment = runs.find_runs(root, name)
    if not of_experiment:
        known = sorted({run.parent.name for run in runs.all_runs(root)})
        raise ValueError(f"no run {name} in {root / runs.LOGS}; experiments: {', '.join(known) or 'none'}")
    return of_experiment[-1]


def best(root: Path, experiment: str) -> Path:
    """Return the run of an experiment with the best score of the quantity that decides on its best checkpoint.

    Raises:
        ValueError: If no run has a score, or they have those of several quantities.
    """
    scored = [(run, score) for run in runs.find_runs(root, experiment) if (score := runs.read_run(run)["best"])]
    monitors = {(score["monitor"], score["mode"]) for _, score in scored}
    if len(monitors) != 1:
        what = f"runs that watch {' and '.join(sorted(name for name, _ in monitors))}" if monitors else "no score"
        raise ValueError(f"{root / runs.LOGS / experiment} has {what}, so no run is the best")
    return min(scored, key=lambda item: _rank(item[1]))[0]


def _rank(score: Mapping[str, Any] | None) -> float:
    """Return a number that is lower for better scores."""
    if score is None:
        return float("inf")
    return float(-score["best_score"] if score["mode"] == "max" else score["best_score"])


def _list(root: Path, options: argparse.Namespace) -> None:
    found = [runs.read_run(run) for run in runs.all_runs(root)]
    found = [
        run
        for run in found
        if options.experiment in (None, run["experiment"]) and options.state in (None, run["state"])
    ]
    if options.sort == "best":
        found.sort(key=lambda run: _rank(run["best"]), reverse=True)
    elif options.sort:
        key = {"duration": "seconds"}.get(options.sort, options.sort)
        found.sort(key=lambda run: (run[key] is not None, run[key]))
    if options.json:
        print_json(found)
    elif not found:
        print_lines(f"no runs in {root / runs.LOGS}")
    else:
        print_table([COLUMNS, *(_row(run) for run in found)])


def _row(run: Mapping[str, Any]) -> list[str]:
    score, test = run["best"], run["test"] or {}
    shown = next(iter(test.items()), None)
    if score:  # the tested quantity that training was watched by
        watched = split_name(score["monitor"])[1]
        shown = next((item for item in test.items() if split_name(item[0])[1] == watched), shown)
    last = _loss(run["final"] or {})
    return [
        run["experiment"],
        str(run["version"]),
        run["state"],
        "" if run["epochs"] is None else str(run["epochs"]),
        f"{score['monitor']} {score['best_score']:.4f}" if score else f"{last[0]} {last[1]:.4f} (last)" if last else "",
        f"{shown[0]} {shown[1]:.4f}" if shown else "",
        "" if run["seconds"] is None else _duration(run["seconds"]),
        (run["commit"] or "")[:8] + ("+" if run["dirty"] else ""),
        (run["started"] or "").replace("T", " ").removesuffix("+00:00"),
    ]


def _loss(metrics: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the loss among metrics, or else the first; None if there are none."""
    losses = [item for item in metrics.items() if split_name(item[0])[1].lower() == "loss"]
    return next(iter([*losses, *metrics.items()]), None)


def _duration(seconds: float) -> str:
    """Return a time as people write it.

    Example:
        >>> _duration(42), _duration(3725)
        ('42 s', '1:02:05')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _show(run: Path, as_json: bool) -> None:
    record = runs.read_run(run)
    files = {name: _text(run / f"{name}.yaml") for name in ("config", "overrides")}
    if as_json:
        print_json({**record, **files, "metrics": runs.read_json(run / runs.METRICS_FILE)})
        return
    for title, content in (
        ("run", _lines({"directory": str(run), "state": record["state"], "error": record["error"]})),
        ("metrics", _lines(_results(run))),
        ("environment", _lines(runs.read_json(run / "environment.json"))),
        ("overrides", files["overrides"]),
        ("config", files["config"]),
    ):
        print_lines(f"# {title}\n{content}")


def _diff(run: Path, other: Path, as_json: bool) -> None:
    in_config = changes(_config(run), _config(other))
    one, two = _results(run), _results(other)
    in_result = {key: (one.get(key), two.get(key)) for key in {**one, **two} if one.get(key) != two.get(key)}
    if as_json:
        print_json({"config": in_config, "results": in_result})
        return
    rows = [["", str(run), str(other)]]
    rows += [[key, *map(value_text, values)] for part in (in_config, in_result) for key, values in part.items()]
    print_table(rows)


def _results(run: Path) -> dict[str, Any]:
    """Return a run's metrics under one key each, such as `final val/loss`."""
    return {
        f"{entry} {name}": value
        for entry, values in runs.read_json(run / runs.METRICS_FILE).items()
        if isinstance(values, Mapping)
        for name, value in values.items()
    }


def _config(run: Path) -> Mapping[str, Any]:
    """Return the configuration of a run; an empty one, with a warning, if it cannot be read."""
    from lightning_template.engine.cli.command_line import read_config

    try:
        return read_config(run / "config.yaml") if _text(run / "config.yaml") else {}
    except ValueError as error:
        sys.stderr.write(f"lightning-template: {printable(str(error))}\n")
        return {}


def _text(path: Path) -> str:
    """Return what a file holds; nothing if it is not there, too large or no text."""
    try:
        return path.read_text("utf-8") if path.is_file() and path.stat().st_size <= LARGEST_TEXT else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _lines(values: Mapping[str, Any]) -> str:
    return "".join(
        f"{printable(key)}: {printable(value_text(value))}\n" for key, value in values.items() if value is not None
    )

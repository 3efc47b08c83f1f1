"""The page of a report: what several runs reached, and in what they differ."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_template.engine.cli.command_line import read_config
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.runs.changes import flatten
from lightning_template.engine.runs.directories import METRICS_FILE, command, read_json, read_run
from lightning_template.engine.sharing import page as html
from lightning_template.engine.sharing.report_figures import Shown, figures_of
from lightning_template.engine.sharing.report_records import Records, charts

STATE = ("state", "error", "epochs", "steps", "seconds", "started")


def report(runs: Sequence[Path]) -> tuple[str, list[str]]:
    """Return the page, and a line for each run of which a part is missing.

    Args:
        runs: Run directories.
    """
    names = _names(runs)
    records = {name: Records(run) for name, run in names.items()}
    shown = {name: figures_of(run, records[name]) for name, run in names.items()}
    parts = [
        html.section("Results", _results(names)),
        html.section("Curves", *_curves(records)),
        html.section("Predictions", *_predictions(shown)),
        html.section("Configuration", *_configuration(names)),
        html.section("Environment", _environment(names)),
        html.section("How to repeat it", *_commands(names)),
    ]
    missing = [f"{name}: {found.problem}" for name, found in shown.items() if found.problem]
    return html.page(", ".join(names), parts), missing


def _names(runs: Sequence[Path]) -> dict[str, Path]:
    """Return the runs by experiment and version; by their paths where two would be called alike."""
    short = {f"{run.absolute().parent.name}/{run.absolute().name}": run for run in runs}
    return short if len(short) == len(runs) else {str(run): run for run in runs}


def _results(names: Mapping[str, Path]) -> str:
    found = {name: read_run(run) for name, run in names.items()}
    rows: list[list[Any]] = [[key, *(run[key] for run in found.values())] for key in STATE]
    best = [run["best"] for run in found.values()]
    rows.append(["best", *map(_best, best)])
    metrics = [_flat(read_json(run / METRICS_FILE)) for run in names.values()]
    keys = dict.fromkeys(key for values in metrics for key in values)
    rows += [[key, *(values.get(key) for values in metrics)] for key in keys]
    kept = [row for row in rows if any(cell not in (None, "") for cell in row[1:])]
    return html.table(["", *names], kept)


def _best(best: Mapping[str, Any] | None) -> str:
    return f"{best['monitor']} {best['best_score']:.6g}, epoch {best['best_epoch'] + 1}" if best else ""


def _flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics under one key each, such as `final val/loss`."""
    entries = [(entry, values) for entry, values in metrics.items() if isinstance(values, Mapping) and entry != "best"]
    return {f"{entry} {name}": value for entry, values in entries for name, value in values.items()}


def _curves(records: Mapping[str, Records]) -> list[str]:
    found = charts({name: record.curves for name, record in records.items()})
    drawn = [html.drawn(figure, title, "svg") for title, figure in found]
    without = [name for name, record in records.items() if not record.curves]
    notes = [html.note(f"{', '.join(without)}: no curves, as there are no events of TensorBoard")] if without else []
    legend = [html.note("Training is dashed, validation solid." if drawn else "No curve has two points.")]
    return [*notes, *legend, f'<div class="row">{"".join(drawn)}</div>']


def _predictions(shown: Mapping[str, Shown]) -> list[str]:
    parts = [html.note(f"{name}: {found.source}") for name, found in shown.items()]
    if len(shown) == 1:
        (found,) = shown.values()
        return [*parts, html.side_by_side(found.figures), html.side_by_side(found.tables)]
    for kind in ("figures", "tables"):
        by_run = {name: getattr(found, kind) for name, found in shown.items()}
        for title in dict.fromkeys(title for made in by_run.values() for title in made):
            beside = {name: made[title] for name, made in by_run.items() if title in made}
            parts += [f"<h3>{html.text(title)}</h3>", html.side_by_side(beside)]
    return parts


def _configuration(names: Mapping[str, Path]) -> list[str]:
    configs, parts = {}, []
    for name, run in names.items():
        try:
            configs[name] = flatten(read_config(run / "config.yaml"))
        except (ValueError, OSError) as error:
            parts.append(html.note(f"{name}: {one_line(error)}"))
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    rows = [[key, *(config.get(key) for config in configs.values())] for key in keys]
    differing = [row for row in rows if len({str(cell) for cell in row[1:]}) > 1]
    if len(configs) > 1:
        parts.append(html.table(["", *configs], differing) if differing else html.note("The configurations are equal."))
    for name, run in names.items():
        parts += [html.folded(f"{name}: {file}", _read(run / file)) for file in ("overrides.yaml", "config.yaml")]
    return parts


def _environment(names: Mapping[str, Path]) -> str:
    found = [flatten(read_json(run / "environment.json")) for run in names.values()]
    found = [
        {key: value for key, value in values.items() if key not in ("command", "started")}
        | {f"data {key}": value for key, value in flatten(read_json(run / "data.json")).items()}
        | {f"digest {key}": value for key, value in read_json(run / "digests.json").items() if key != "steps"}
        for values, run in zip(found, names.values(), strict=True)
    ]
    keys = dict.fromkeys(key for values in found for key in values)
    return html.table(["", *names], [[key, *(values.get(key) for values in found)] for key in keys], len(names) > 1)


def _commands(names: Mapping[str, Path]) -> list[str]:
    parts = []
    for name, run in names.items():
        environment = read_json(run / "environment.json")
        commit, typed = environment.get("git_commit"), environment.get("command")
        lines = [f"git checkout {shlex.quote(commit)}"] if isinstance(commit, str) else []
        lines += ["# files were changed since that commit"] if environment.get("git_dirty") else []
        lines.append(command("fit", "--config", str(run / "config.yaml")))
        lines.append(f"{command('reproduce', str(run))}  # compares the weights")
        if isinstance(typed, list) and typed:
            lines.append(f"# as it was typed: {shlex.join(map(str, typed))}")
        parts.append(f"<h3>{html.text(name)}</h3>{html.code(chr(10).join(lines))}")
    return parts


def _read(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text("utf-8")
    return "not there, or it cannot be read"

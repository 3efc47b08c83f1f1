"""Run directories, `lightning_logs/<experiment>/version_N/`, and what lies in them. Imports no torch."""

import logging
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_template.engine.process.tables import table_text
from lightning_template.engine.runs.digests import dump_json, load_json
from lightning_template.engine.runs.files import flush, make_folder, write_text
from lightning_template.engine.runs.records import LOCK_FILE as LOCK_FILE
from lightning_template.engine.runs.records import METRICS_FILE as METRICS_FILE
from lightning_template.engine.runs.records import STATE_FILE as STATE_FILE
from lightning_template.engine.runs.records import STATES as STATES
from lightning_template.engine.runs.records import best_of, floats_of, is_true
from lightning_template.engine.runs.records import read_json as read_json
from lightning_template.engine.runs.records import read_run as read_run
from lightning_template.engine.runs.records import version_of as version_of

LOGS = "lightning_logs"
"""Folder of all runs, inside the trainer's `default_root_dir`."""
LONGEST_NAME = 255
"""Number of bytes that a file system allows in a name."""

_logger = logging.getLogger("lightning_template")


def create_run(root: Path, experiment: str) -> Path:
    """Create the next run directory of an experiment; no two calls, nor processes, get the same one.

    Args:
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment, one path component.

    Returns:
        The new directory.

    Raises:
        ValueError: If the name cannot be that of a folder in `lightning_logs`.
    """
    folder = root / LOGS / check_experiment(experiment)
    make_folder(folder)
    version = 1 + max((version_of(run) for run in find_runs(root, experiment)), default=-1)
    while True:
        try:
            (folder / f"version_{version}").mkdir()
        except FileExistsError:
            version += 1
        else:
            flush(folder)
            return folder / f"version_{version}"


def check_experiment(name: Any) -> str:
    """Return the name of an experiment if it is one path component that any terminal can show.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(name, str) or not name.strip() or name in (".", ".."):
        raise ValueError(f"`experiment` must be the name of a folder, got {name!r}")
    if not name.isprintable() or {"/", os.sep} & set(name):
        raise ValueError(f"`experiment` must be one name without slashes and control characters, got {name!r}")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"`experiment` must take {LONGEST_NAME} bytes at most, got {len(name.encode())}")
    return name


def find_runs(root: Path, experiment: str) -> list[Path]:
    """Return the run directories of an experiment, oldest first."""
    folder = root / LOGS / experiment
    found = (run for run in folder.glob("version_*") if version_of(run) >= 0 and is_true(run.is_dir))
    return sorted(found, key=version_of)


def all_runs(root: Path) -> list[Path]:
    """Return the run directories of all experiments: those that say what they are."""
    runs = [run for folder in sorted((root / LOGS).glob("*/")) for run in find_runs(root, folder.name)]
    return [run for run in runs if any(is_true((run / name).is_file) for name in ("config.yaml", STATE_FILE))]


def unfinished_files(run: Path) -> list[Path]:
    """Return what a training that was killed left of files that it wrote; others may write predictions meanwhile."""
    kinds = {run: ("json", "txt", "yaml"), run / "checkpoints": ("ckpt",)}
    return [part for folder in kinds for kind in kinds[folder] for part in folder.glob(f".*.{kind}.[0-9]*")]


def update_json(path: Path, entries: Mapping[str, Any]) -> None:
    """Merge entries into a JSON file of a run. A damaged file is put aside, with a warning."""
    try:
        known = load_json(path.read_bytes())
    except FileNotFoundError:
        known = {}
    except (OSError, ValueError) as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        _logger.warning("%s was damaged and is now %s: %s", path, aside.name, " ".join(str(error).split()))
        known = {}
    write_text(path, dump_json({**known, **entries}))


def summarise(run: Path) -> str:
    """Return what a finished run reached, and the commands to type next."""
    metrics = read_json(run / METRICS_FILE)
    best = best_of(metrics)
    lines = {
        "best": f"{best['monitor']} {best['best_score']:.4f} after epoch {best['best_epoch'] + 1}" if best else "",
        "run": run,
        "test": command("test", "--ckpt_path", str(run)),
        "dashboard": command("--logdir", str(run.parent.parent), program="tensorboard"),
    }
    table = _table(floats_of(metrics.get("final")) | floats_of(metrics.get("test")))
    return table + "".join(f"{name:<11}{text}\n" for name, text in lines.items() if text)


def _table(values: dict[str, float]) -> str:
    """Return a table of values named `stage/metric`: a row for each metric, a column for each stage."""
    stages = [stage for stage in ("train", "val", "test") if any(name.startswith(f"{stage}/") for name in values)]
    parts = [name.partition("/") for name in values]
    metrics = dict.fromkeys(name for stage, _, name in parts if stage in stages and not name.endswith("_step"))
    rows = [["last", *stages]]
    for metric in metrics:
        found = [values.get(f"{stage}/{metric}") for stage in stages]
        rows.append([metric, *("" if value is None else f"{value:.4f}" for value in found)])
    wide = [[name.ljust(9), *(cell.ljust(8) for cell in cells)] for name, *cells in rows]  # as the lines below them
    return table_text(wide) if metrics else ""


def command(*args: str, program: str = "lightning-template") -> str:
    """Return what to type to run a program with `args`."""
    launcher = os.environ.get("LIGHTNING_TEMPLATE_LAUNCHER")  # scripts/run, as it was typed
    return shlex.join([launcher, program, *args] if launcher else [program, *args])

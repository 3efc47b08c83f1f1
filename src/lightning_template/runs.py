"""Run directories, `lightning_logs/<experiment>/version_N/`, and the checkpoints in them. Imports no torch."""

import json
import logging
import os
import re
import shlex
import zipfile
import zlib
from pathlib import Path
from typing import Any

LOGS = "lightning_logs"
"""Folder of all runs, inside the trainer's `default_root_dir`."""
CHECKPOINT_WORDS = ("best", "last")
"""Checkpoints that every run keeps, as `checkpoints/<word>.ckpt`."""
PREVIOUS = "previous"
"""The last checkpoint but one, for when the last is damaged."""

STATES = ("running", "finished", "interrupted", "failed")
"""What becomes of a run; interrupted by a signal or a kill."""
STATE_FILE = "state.json"
LOCK_FILE = ".lock"
"""File that the process which trains in a run directory holds locked."""

_logger = logging.getLogger("lightning_template")


def create_run(root: Path, experiment: str) -> Path:
    """Create the next run directory of an experiment; no two calls, nor processes, get the same one.

    Args:
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment, one path component.

    Returns:
        The new directory.
    """
    folder = root / LOGS / experiment
    folder.mkdir(parents=True, exist_ok=True)
    version = 1 + max((version_of(run) for run in find_runs(root, experiment)), default=-1)
    while True:
        try:
            (folder / f"version_{version}").mkdir()
        except FileExistsError:
            version += 1
        else:
            return folder / f"version_{version}"


def find_runs(root: Path, experiment: str) -> list[Path]:
    """Return the run directories of an experiment, oldest first."""
    folder = root / LOGS / experiment
    return sorted((run for run in folder.glob("version_*") if version_of(run) >= 0 and run.is_dir()), key=version_of)


def all_runs(root: Path) -> list[Path]:
    """Return the run directories of all experiments: those that say what they are."""
    runs = [run for folder in sorted((root / LOGS).glob("*/")) for run in find_runs(root, folder.name)]
    return [run for run in runs if (run / "config.yaml").is_file() or (run / STATE_FILE).is_file()]


def read_run(run: Path) -> dict[str, Any]:
    """Read what a run left, as far as it is there and readable.

    Returns:
        Its `path`, `experiment`, `version`, `state`, number of `epochs` and `steps`, `seconds` of training, the `error`
        of a failed run, time it `started`, git `commit` and whether it was `dirty`, `best` score and `test` metrics;
        None for what is not known.
    """
    state, metrics, environment = (read_json(run / name) for name in (STATE_FILE, "metrics.json", "environment.json"))
    known = {key: state.get(key) for key in ("state", "epochs", "steps", "seconds", "error", "started")}
    if known["state"] not in STATES:
        known["state"] = "finished" if metrics else "interrupted"
    elif known["state"] == "running" and not _is_locked(run / LOCK_FILE):
        known["state"] = "interrupted"
    best, test = metrics.get("best"), metrics.get("test")
    return {
        "path": str(run),
        "experiment": run.absolute().parent.name,
        "version": version_of(run.absolute()),
        **known,
        "started": known["started"] or environment.get("started"),
        "commit": environment.get("git_commit"),
        "dirty": environment.get("git_dirty"),
        "best": best if isinstance(best, dict) and {"monitor", "mode", "best_score"} <= best.keys() else None,
        "test": {name: value for name, value in test.items() if isinstance(value, float)}
        if isinstance(test, dict)
        else None,
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing if it is not there, half-written or something else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_locked(path: Path) -> bool:
    """Tell whether a process holds a lock file, without holding it for longer than it takes to ask."""
    try:
        import fcntl
    except ImportError:  # not on Windows: as it says
        return True
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def version_of(run: Path) -> int:
    """Return the number N of a directory `version_N`, or -1 for another name."""
    match = re.fullmatch(r"version_(\d+)", run.name)
    return int(match[1]) if match else -1


def run_of(checkpoint: Path) -> Path | None:
    """Return the run directory that a checkpoint file lies in, or None if it lies in none."""
    folder = checkpoint.parent if checkpoint.parent.name else checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


def resolve_checkpoint(where: str, root: Path, experiment: str, prefer: str = "best") -> Path:
    """Find the checkpoint file that a user means.

    Args:
        where: `best` or `last` of the newest run of the experiment that has one; or a checkpoint file; or a run
            directory, whose `prefer` is taken, or else its other checkpoint. A damaged `last` is replaced by the one
            before it, with a warning.
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment.
        prefer: `best` or `last`.

    Raises:
        ValueError: If there is no such checkpoint, or none that is not damaged.
    """
    path = Path(where)
    if path.is_file():
        return path
    if path.is_dir():
        runs, words = [path], sorted(CHECKPOINT_WORDS, key=lambda word: word != prefer)
    elif where in CHECKPOINT_WORDS:
        runs, words = find_runs(root, experiment)[::-1], [where]
    else:
        raise ValueError(f"`ckpt_path` must be best, last, a checkpoint file or a run directory, got {where}")
    for run in runs:
        for word in words:
            file, previous = (run / "checkpoints" / f"{name}.ckpt" for name in (word, PREVIOUS))
            if file.is_file():
                return _first_whole([file, previous] if word == "last" and previous.is_file() else [file])
    looked = path if path.is_dir() else f"{len(runs)} runs in {root / LOGS / experiment}"
    raise ValueError(f"no {' or '.join(words)}.ckpt in {looked}: train first, or name another `ckpt_path`")


def _first_whole(files: list[Path]) -> Path:
    """Return the first file that is no damaged checkpoint, and say so if it is not the first file."""
    whole = next((file for file in files if is_whole(file)), None)
    if whole is None:
        raise ValueError(f"damaged, and nothing to use instead: {', '.join(map(str, files))}")
    if whole != files[0]:
        _logger.warning("%s is damaged: using the one before it, %s", files[0], whole)
    return whole


def is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint is what was written: torch keeps a CRC-32 of each part of the archive it writes."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError):  # of altered bytes
        return False


def part_of(path: Path) -> Path:
    """Return where this process writes what shall take the place of a file once it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def unfinished_files(run: Path) -> list[Path]:
    """Return what processes that were killed left of files that they wrote."""
    return [part for folder in (run, run / "checkpoints") for part in folder.glob(".*.*.[0-9]*")]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that readers see the old content or the new, never a part."""
    part = part_of(path)
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def update_metrics(run: Path, entries: dict[str, Any]) -> None:
    """Merge entries into a run's `metrics.json`."""
    path = run / "metrics.json"
    metrics = json.loads(path.read_text()) if path.is_file() else {}
    write_atomically(path, json.dumps(metrics | entries, indent=2) + "\n")


def summarise(run: Path) -> str:
    """Return what a finished run reached, and the commands to type next."""
    metrics = json.loads((run / "metrics.json").read_text())
    best = metrics.get("best")
    lines = {
        "best": f"{best['monitor']} {best['best_score']:.4f} after epoch {best['best_epoch'] + 1}" if best else "",
        "run": run,
        "test": command("test", "--ckpt_path", str(run)),
        "dashboard": command("--logdir", str(run.parent.parent), program="tensorboard"),
    }
    table = _table(metrics.get("final", {}) | metrics.get("test", {}))
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
    width = max(10, *(len(row[0]) for row in rows))
    lines = (f"{name:<{width}}" + "".join(f" {cell:<9}" for cell in cells) for name, *cells in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines) if metrics else ""


def command(*args: str, program: str = "lightning-template") -> str:
    """Return what to type to run a program with `args`."""
    launcher = os.environ.get("LIGHTNING_TEMPLATE_LAUNCHER")  # scripts/run, as it was typed
    return shlex.join([launcher, program, *args] if launcher else [program, *args])

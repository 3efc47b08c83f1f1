"""Run directories, `lightning_logs/<experiment>/version_N/`, and the checkpoints in them. Imports no torch."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

LOGS = "lightning_logs"
"""Folder of all runs, inside the trainer's `default_root_dir`."""
CHECKPOINT_WORDS = ("best", "last")
"""Checkpoints that every run keeps, as `checkpoints/<word>.ckpt`."""


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
            directory, whose `prefer` is taken, or else its other checkpoint.
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment.
        prefer: `best` or `last`.

    Raises:
        ValueError: If there is no such checkpoint.
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
    candidates = [run / "checkpoints" / f"{word}.ckpt" for run in runs for word in words]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        looked = path if path.is_dir() else f"{len(runs)} runs in {root / LOGS / experiment}"
        raise ValueError(f"no {' or '.join(words)}.ckpt in {looked}: train first, or name another `ckpt_path`")
    return found


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that readers see the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def update_metrics(run: Path, entries: dict[str, Any]) -> None:
    """Merge entries into a run's `metrics.json`."""
    path = run / "metrics.json"
    metrics = json.loads(path.read_text()) if path.is_file() else {}
    write_atomically(path, json.dumps(metrics | entries, indent=2) + "\n")


def summarise(run: Path) -> str:
    """Return what a finished run reached, and the commands to type next."""
    metrics = json.loads((run / "metrics.json").read_text())
    launcher = os.environ.get("LIGHTNING_TEMPLATE_LAUNCHER")  # scripts/run, as it was typed
    command, tensorboard = (
        shlex.join([launcher, name] if launcher else [name]) for name in ("lightning-template", "tensorboard")
    )
    best = metrics.get("best")
    lines = {
        "run": run,
        "best": f"{best['monitor']} {best['best_score']:.4f} after epoch {best['best_epoch'] + 1}" if best else "",
        "test": f"{command} test --ckpt_path {shlex.quote(str(run))}",
        "dashboard": f"{tensorboard} --logdir {shlex.quote(str(run.parent.parent))}",
    }
    return "".join(f"{name:<11}{text}\n" for name, text in lines.items() if text)

"""Records of a run, read from its files and checked. Imports no torch.

Anybody may have edited the files, and a run may have been killed while it wrote. So each value is checked by its type,
and a wrong one counts as unknown.
"""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_template.engine.runs.digests import load_json

METRICS_FILE = "metrics.json"
STATES = ("running", "finished", "interrupted", "failed")
"""What becomes of a run; interrupted by a signal or a kill."""
STATE_FILE = "state.json"
LARGEST_FILE = 1 << 24
"""Number of bytes beyond which a JSON file is none that a run wrote."""
DEEPEST = 20
"""Levels of lists and mappings beyond which it is none either."""
MOST_SECONDS = 1e10
"""Longest time of training that is believed: 300 years."""
LOCK_FILE = ".lock"
"""File that the process which trains in a run directory holds locked."""


def read_run(run: Path) -> dict[str, Any]:
    """Read what a run left, as far as it is there, readable and of the right type.

    Returns:
        The run's `path`, `experiment`, `version`, `state`, `error`, `best` score, `final` and `test` metrics. Also its
        `epochs`, `steps`, `seconds` of training, time it `started`, and git `commit`, which may be `dirty`. None means
        unknown.
    """
    state, metrics, environment = (read_json(run / name) for name in (STATE_FILE, METRICS_FILE, "environment.json"))
    became = state.get("state")
    if became not in STATES:
        became = "finished" if metrics else "interrupted"
    elif became == "running" and not _is_locked(run / LOCK_FILE):
        became = "interrupted"
    dirty = environment.get("git_dirty")
    return {
        "path": str(run),
        "experiment": run.absolute().parent.name,
        "version": version_of(run.absolute()),
        "state": became,
        "epochs": _count(state.get("epochs")),
        "steps": _count(state.get("steps")),
        "seconds": _seconds(state.get("seconds")),
        "error": _text(state.get("error")),
        "started": _time(state.get("started")) or _time(environment.get("started")),
        "commit": _text(environment.get("git_commit")),
        "dirty": dirty if isinstance(dirty, bool) else None,
        "best": best_of(metrics),
        "final": floats_of(final) if isinstance(final := metrics.get("final"), dict) else None,
        "test": floats_of(test) if isinstance(test := metrics.get("test"), dict) else None,
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= sys.maxsize else None  # a bool is an int too


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= MOST_SECONDS else None


def _time(value: Any) -> str | None:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return _text(value)


def best_of(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `metrics.json` holds about the best checkpoint, if it is complete."""
    best = metrics.get("best")
    is_complete = (
        isinstance(best, dict)
        and isinstance(best.get("monitor"), str)
        and best.get("mode") in ("min", "max")
        and type(best.get("best_score")) in (int, float)
        and abs(best["best_score"]) <= sys.float_info.max  # neither NaN nor an integer beyond all numbers
        and _count(best.get("best_epoch")) is not None
    )
    return best if is_complete else None


def floats_of(values: Any) -> dict[str, float]:
    """Return the numbers among the entries of a mapping; none of another value."""
    items = values.items() if isinstance(values, dict) else ()
    return {name: value for name, value in items if isinstance(value, float)}


def read_json(path: Path) -> dict[str, Any]:
    """Return the entries of a JSON file; none if it is not there, damaged, too large or something else."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return {}
        entries = load_json(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return entries if _depth(entries) <= DEEPEST else {}


def _depth(value: Any) -> int:
    """Return how many levels of lists and mappings are within one another."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, (dict, list))]:
        depth += 1
        level = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _is_locked(path: Path) -> bool:
    """Tell whether a process holds a lock file.

    filelock offers exclusive locks alone, which need a writable file and look to others like a run that trains.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows: as it says
        return True
    if not is_true(path.is_file):
        return False
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def is_true(test: Callable[[], bool]) -> bool:
    """Return what a test of a path says; False where this process may not look."""
    try:
        return test()
    except OSError:
        return False


def version_of(run: Path) -> int:
    """Return the number N of a directory `version_N`, or -1 for another name."""
    match = re.fullmatch(r"version_(\d+)", run.name)
    return int(match[1]) if match else -1

"""The checkpoint file that a user means by a word, a file or a run directory. Imports no torch."""

import logging
from pathlib import Path

from lightning_template.engine.runs.digests import DamagedError, check_archive
from lightning_template.engine.runs.directories import LOGS, STATE_FILE, find_runs

CHECKPOINT_WORDS = ("best", "last")
"""Checkpoints that every run keeps, as `checkpoints/<word>.ckpt`."""
PREVIOUS = "previous"
"""The last checkpoint but one, for when the last is damaged or gone."""

_logger = logging.getLogger("lightning_template")


def resolve_checkpoint(
    where: str, root: Path, experiment: str, prefer: str = "best", needs_config: bool = True
) -> Path:
    """Find the checkpoint file that a user means, and check that it holds what was written.

    Args:
        where: `best` or `last` of the newest run of the experiment that has one; or a checkpoint file; or a run
            directory, whose `prefer` is taken, or else its other checkpoint. In place of a `last` that is damaged or
            gone, the one before it is taken, with a warning.
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment.
        prefer: `best` or `last`.
        needs_config: Whether a run must have a `config.yaml`.

    Raises:
        ValueError: If there is no such checkpoint, or only damaged ones, or the run has no `config.yaml`.
    """
    path = Path(where)
    if path.is_file():
        return _first_whole([path])
    if path.is_dir():
        runs, words = [path], sorted(CHECKPOINT_WORDS, key=lambda word: word != prefer)
    elif where in CHECKPOINT_WORDS:
        runs, words = find_runs(root, experiment)[::-1], [where]
    else:
        raise ValueError(f"`ckpt_path` must be best, last, a checkpoint file or a run directory, got {where}")
    for run in runs:
        for word in words:
            files = [run / "checkpoints" / f"{name}.ckpt" for name in (word, *([PREVIOUS] if word == "last" else []))]
            if any(file.is_file() for file in files):
                if needs_config:
                    _check_config(run)
                return _first_whole(files)
    looked = path if path.is_dir() else f"{len(runs)} runs in {root / LOGS / experiment}"
    has_last = any((run / "checkpoints" / "last.ckpt").is_file() for run in runs)  # a run that watches nothing
    hint = "there is a last.ckpt: --ckpt_path last" if has_last else "train first, or name another `ckpt_path`"
    raise ValueError(f"no {' or '.join(words)}.ckpt in {looked}: {hint}")


def _first_whole(files: list[Path]) -> Path:
    """Return the first file that is there and not damaged, and say what is wrong with those before it."""
    wrong: list[str] = []
    for file in files:
        if not file.is_file():
            wrong.append(f"there is no {file}")
            continue
        try:
            has_digest = check_archive(file)
        except DamagedError as error:
            wrong.append(str(error))
            continue
        if wrong:
            _logger.warning("%s: using the one before it, %s", "; ".join(wrong), file)
        if not has_digest:
            _logger.warning("%s has no digest, so only its checksums were checked", file)
        return file
    raise ValueError(f"{'; '.join(wrong)}; there is nothing to use instead")


def run_of(checkpoint: Path) -> Path | None:
    """Return the run directory that a checkpoint file lies in, or None if it lies in none.

    Raises:
        ValueError: If the run has no `config.yaml`.
    """
    folder = checkpoint.parent if checkpoint.parent.name else checkpoint.absolute().parent
    run = folder.parent
    if folder.name != "checkpoints":
        return None
    if any((run / name).is_file() for name in (STATE_FILE, "environment.json", "overrides.yaml")):
        _check_config(run)
    return run if (run / "config.yaml").is_file() else None


def _check_config(run: Path) -> None:
    if not (run / "config.yaml").is_file():
        raise ValueError(f"{run} has no config.yaml, which says what its checkpoints are of: put it back")

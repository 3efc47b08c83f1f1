"""Jobs of SLURM: which one this is, how it is queued again, and which run it goes on with. Imports no torch.

SIGUSR1 queues the job again: `sbatch --signal=USR1@90` sends it 90 seconds before the time is over, after which SLURM
itself would end the job for good. SIGTERM does not: SLURM sends it when a job is cancelled, and when it is preempted,
where SLURM queues the job again by itself (`--requeue`). A job that was queued again, also after its node
failed, runs the same script once more. Each `fit` in it resumes the run that the same command began.
"""

import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_template.engine.runs.directories import STATE_FILE, find_runs, read_json
from lightning_template.engine.runs.resolve import PREVIOUS

JOB, ARGS = "slurm_job", "slurm_args"
"""Entries of a run's `state.json`: what trained there last."""

_logger = logging.getLogger("lightning_template")


def job() -> str | None:
    """Return the id of the batch job that this process belongs to, or None; of an array also the number of its task."""
    if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):  # as Lightning's SLURMEnvironment has it
        return None
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


def mark(args: Sequence[str]) -> dict[str, Any]:
    """Return the entries of `state.json` by which a run is found when this job is queued again.

    Args:
        args: The command line, as it was typed.
    """
    return {JOB: job(), ARGS: list(args)} if job() else {}


def run_to_go_on_with(root: Path, experiment: str, args: Sequence[str]) -> Path | None:
    """Return the newest run that this job began with the same command before it was queued again, and say so.

    Args:
        root: Folder that holds `lightning_logs`.
        experiment: Name of the experiment.
        args: The command line, as it was typed.

    Returns:
        A run directory with a checkpoint; None if there is none, or this job was not queued again.
    """
    restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
    if job() is None or not restarts.isdecimal() or int(restarts) == 0:
        return None
    marked = [run for run in find_runs(root, experiment) if mark(args).items() <= read_json(run / STATE_FILE).items()]
    run = next((run for run in reversed(marked) if _has_checkpoint(run)), None)
    if os.environ.get("SLURM_PROCID", "0") == "0":
        what = f"going on with its run {run}" if run else "no checkpoint of this command is there, so a new run starts"
        _logger.warning("job %s was queued again: %s", job(), what)
    return run


def _has_checkpoint(run: Path) -> bool:
    return any((run / "checkpoints" / f"{name}.ckpt").is_file() for name in ("last", PREVIOUS))


def queue_again(number: int) -> str:
    """Queue this job again if a signal asks for it.

    Args:
        number: Number of the signal.

    Returns:
        What became of it; nothing if this is no job, or another signal.
    """
    name = job()
    if name is None or number != getattr(signal, "SIGUSR1", None):
        return ""
    try:
        done = subprocess.run(["scontrol", "requeue", name], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"; job {name} is not queued again: scontrol: {error.strerror}"
    if done.returncode:
        return f"; job {name} is not queued again: scontrol: {' '.join(done.stderr.split()) or done.returncode}"
    return f"; job {name} is queued again, to go on by itself"

"""Several workers of a study on this machine: each is the same command with one worker."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lightning_template.engine.process.errors import printable
from lightning_template.engine.sweep.study import WORKERS, SweepStudy

PATIENCE = 60.0
"""Seconds that workers have to stop, after which they are killed."""
POLL = 0.3
"""Seconds between two looks at the study."""


def run_workers(args: Sequence[str], number: int, study: SweepStudy, show: Callable[[], object]) -> None:
    """Run workers until the study is finished.

    Args:
        args: What follows `sweep` on the command line.
        number: Number of workers.
        study: The study.
        show: Shows how far it is.

    Raises:
        ValueError: If all workers have ended before the study.
        Stopped: If a signal asked for it; the workers have stopped too.
    """
    logs = [study.plan.folder / WORKERS / f"{study.worker}_{rank}.txt" for rank in range(number)]
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for rank, log in enumerate(logs):
            workers.append(_start(args, rank, number, log))
        while any(worker.poll() is None for worker in workers):
            show()
            time.sleep(POLL)
    finally:
        _stop(workers)
    show()
    if not study.is_finished():
        raise ValueError(
            "all workers have ended before the study, the last one said: "
            f"{printable(_last_line(logs))}; the same command goes on with it"
        )


def _start(args: Sequence[str], rank: int, number: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a worker with its share of the processors; where there are several GPUs, it sees one."""
    environment = os.environ.copy()
    share = max(1, len(os.sched_getaffinity(0)) // number) if hasattr(os, "sched_getaffinity") else 1
    environment.setdefault("OMP_NUM_THREADS", str(share))
    if (gpus := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[rank % len(visible)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lightning_template", "sweep", *args, "--workers=1"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have workers stop where their trials can go on. A terminal's SIGINT has reached them too; a second would kill."""
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        try:
            worker.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _last_line(logs: Sequence[Path]) -> str:
    lines = [line for log in logs for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"

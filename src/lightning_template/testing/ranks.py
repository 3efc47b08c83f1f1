"""Two processes that train together, whatever this process did before."""

import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException, start_processes

from lightning_template.testing.exceptions import CheckSkipped
from lightning_template.testing.isolation import undisturbed

Work = Callable[[], Any]

PATIENCE = 10
"""Seconds that a fork may take to show that it can train, which takes milliseconds."""
GRACE = 1.0
"""Seconds that other ranks may take to end once one has failed."""


def in_two_ranks(work: Work) -> Any:
    """Call a function in two processes at once that form a process group of torch, on the CPU.

    The processes are forks of this one where a fork can train, which takes a second; otherwise new ones, which import
    Lightning first.

    Args:
        work: Function to be called. It returns tensors and numbers, in containers.

    Returns:
        What it returns in the process of rank 0.

    Raises:
        CheckSkipped: If this process cannot be forked, nor `work` sent to another one.
        ProcessRaisedException: If it fails; the last line of the message is that of the error.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if can_fork():
            start_processes(partial(_rank, work, folder), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
        else:
            _start_new_processes(work, folder)
        return torch.load(folder / "result.pt", weights_only=True)


def can_fork() -> bool:
    """Tell whether a fork of this process can train on the CPU.

    It cannot once autograd has threads for a device, which torch tells only when a fork tries. It may not be safe on
    macOS, and with CUDA or a process group in use. A daemonic process may have no children of multiprocessing.
    """
    in_use = torch.cuda.is_initialized() or distributed.is_initialized()  # type: ignore[no-untyped-call]
    if sys.platform != "linux" or in_use or current_process().daemon:
        return False
    fork = get_context("fork").Process(target=_try_backward)
    fork.start()
    fork.join(PATIENCE)
    if fork.is_alive():
        fork.kill()
        fork.join()
    return fork.exitcode == 0


def _try_backward() -> None:
    try:
        torch.set_num_threads(1)
        torch.ones(1, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError:
        os._exit(1)  # without a traceback


def _rank(work: Work, folder: Path, rank: int) -> None:
    """Be one of the two processes."""
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    vars(torch)["set_num_threads"] = lambda _: None  # a task that asks for more would wait for them for ever
    os.environ["LOCAL_RANK"] = str(rank)  # Lightning then starts no processes itself
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2, timeout=timedelta(minutes=2)
    )  # a file: another program might take a port that is free now
    result = work()
    if rank == 0:
        torch.save(result, folder / "result.pt")


def _start_new_processes(work: Work, folder: Path) -> None:
    import cloudpickle  # sends functions and classes of notebooks, scripts and functions, as pickle does not

    try:
        (folder / "work.pkl").write_bytes(cloudpickle.dumps(work))
    except Exception as error:
        raise CheckSkipped(
            "it needs two processes: this one cannot be forked, since it has used a GPU or such, and the task and its "
            f"data cannot be sent to another: {error}"
        ) from error
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    code = "import sys; from lightning_template.testing.ranks import main; main(*sys.argv[1:])"
    with ExitStack() as stack:
        ranks = []
        for rank in range(2):
            output = stack.enter_context((folder / f"output{rank}").open("wb"))
            command = [sys.executable, "-c", code, str(folder), str(rank)]
            ranks.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT))
            stack.callback(ranks[-1].wait)
            stack.callback(ranks[-1].kill)
        _wait(ranks, folder)


def _wait(ranks: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until all processes have ended well, or one has not."""
    deadline = math.inf
    while None in (codes := [process.poll() for process in ranks]) and time.monotonic() < deadline:
        if any(codes):
            deadline = min(deadline, time.monotonic() + GRACE)
        time.sleep(0.05)
    if not any(codes):
        return
    # A rank that fails closes its connections, and others may fail of that: who wrote an error first is the cause.
    outputs = {rank: folder / f"output{rank}" for rank, code in enumerate(codes) if code}
    rank = min(outputs, key=lambda rank: outputs[rank].stat().st_mtime_ns)
    said = outputs[rank].read_text(errors="replace").strip() or f"it ended with {codes[rank]}"
    raise ProcessRaisedException(said, rank, ranks[rank].pid)


def main(folder: str, rank: str) -> None:
    """Be one of two new processes.

    Args:
        folder: Where the work is, and its result goes.
        rank: Number of the process.
    """
    import cloudpickle

    try:
        with undisturbed():
            _rank(cloudpickle.loads((Path(folder) / "work.pkl").read_bytes()), Path(folder), int(rank))
    except Exception:
        sys.exit(traceback.format_exc())  # torch's own hook would put the rank before each line

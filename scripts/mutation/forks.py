"""Tests run in forks of a process that has imported torch and Lightning, each in a private copy of the project.

The project itself is imported in the fork only: from the copy, with the fault in it, by the tests and by every process
that a test starts.
"""

import atexit
import contextlib
import gc
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

HEAVY = [
    "filelock",
    "jsonargparse",
    "lightning.pytorch.cli",
    "lightning.pytorch.loggers",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "PIL.Image",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "rich.live",
    "sklearn.metrics",
    "tensorboard.backend.event_processing.event_accumulator",
    "tensorboard.plugins.custom_scalar.summary",
    "tensorboard.summary.v2",
    "torch.utils.tensorboard",
    "torchmetrics.classification",
    "torchvision.transforms.v2",
    "tqdm",
    "yaml",
]
"""Modules that take seconds to import."""


def import_heavy() -> None:
    """Import once what each fork would import for itself."""
    os.environ["MPLBACKEND"] = "agg"
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:  # the tests of a project without it do not need it
            continue
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


class Copy:
    """A private copy of the project, in which one fork at a time runs tests."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.tree, self.scratch = root, folder / "project", folder / "scratch"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (root / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.tree / name)
        for command in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=self.tree, check=True)
        self.clock = int(time.time())
        self.pid, self.limit = 0, 0.0

    def write(self, path: str, source: str) -> None:
        """Write a file so that no byte code of an earlier one passes for its own: that compares size and second."""
        self.clock += 1
        (self.tree / path).write_text(source)
        os.utime(self.tree / path, (self.clock, self.clock))

    def start(self, files: list[str], plugin: object, seconds: float, *options: str) -> None:
        """Fork, and run the tests of these files there, with further options for pytest."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        self.limit = time.monotonic() + seconds
        self.pid = os.fork()
        if not self.pid:
            status = 70
            try:
                status = self._run(files, plugin, seconds, *options)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)

    def _run(self, files: list[str], plugin: object, seconds: float, *options: str) -> int:
        os.setsid()  # so that what the tests leave behind can be ended with them
        output = os.open(self.scratch / "output", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(self.tree)
        vars(sys.modules["__main__"]).pop("__file__", None)  # processes that multiprocessing starts would run it
        sys.path[0] = str(self.tree / "src")
        os.environ["PYTHONPATH"] = sys.path[0]
        os.environ["TMPDIR"] = str(self.scratch)
        always = ["-n0", "-q", "-p", "no:cacheprovider", f"--timeout={seconds:.0f}", "--tb=short"]
        folder = f"--basetemp={self.scratch / 'pytest'}"
        return int(pytest.main([*always, folder, *options, *files], plugins=[plugin]))

    def ended(self) -> str | None:
        """Return how the fork ended: "passed", "failed", "broken" or "hung"; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        hung = not pid and time.monotonic() > self.limit
        if not pid and not hung:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if hung:
            os.waitpid(self.pid, 0)
            return "hung"
        # pytest's 1: a test failed; 5: no test was left to run; else a file could not be collected.
        return {0: "passed", 1: "failed", 5: "passed"}.get(os.waitstatus_to_exitcode(status), "broken")


def run_all(copies: list[Copy], jobs: Iterator[T], start: Callable[[Copy, T], None]) -> Iterator[tuple[Copy, T, str]]:
    """Run jobs, one at a time in each copy; yield each with how it ended."""
    running: dict[int, T] = {}
    while True:
        for number, copy in enumerate(copies):
            if number in running and (result := copy.ended()):
                yield copy, running.pop(number), result
            if number not in running and (job := next(jobs, None)) is not None:
                start(copy, job)
                running[number] = job
        if not running:
            return
        time.sleep(0.02)

"""Runs of several processes of which some end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_runs_that_stop import RUN, load, nothing_is_half_written

from conftest import ROOT

FIT = [f"--config={ROOT / 'configs/line/adam.yaml'}", "--trainer.max_epochs=100000", "--data.batch_size=4"]
FIT += ["--callbacks.checkpoint.every_n_steps=20", "--trainer.enable_progress_bar=false"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def wait_until(is_true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_written_a_checkpoint(process: subprocess.Popen[str]) -> bool:
    return (RUN / "checkpoints" / "last.ckpt").is_file()


@contextmanager
def fit(
    *args: str, until: Callable[[subprocess.Popen[str]], bool] = has_written_a_checkpoint
) -> Iterator[subprocess.Popen[str]]:
    """Start a run in a process group of its own, and wait until something is true of it."""
    command = [sys.executable, "-m", "lightning_template", "fit", *FIT, *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_until(lambda: until(process) or process.poll() is not None, 150)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield process
        finally:
            for pid in processes_of(process.pid):  # of a test that fails
                os.kill(pid, signal.SIGKILL)


def processes_of(group: int) -> list[int]:
    """Return the living processes of a group, the first first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(of_group) == group and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_workers_too(number: signal.Signals, workspace: Path) -> None:
    with fit("--data.num_workers=2") as process:
        assert len(processes_of(process.pid)) >= 3
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 128 + number, err
        assert f"stopped by {number.name} after step {load()['global_step']}; to go on: " in err
        assert "Traceback" not in err
        assert nothing_is_half_written()
        wait_until(lambda: not processes_of(process.pid), 10)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2])
def test_a_signal_while_the_workers_start(seconds: float, workspace: Path) -> None:
    def workers_start(process: subprocess.Popen[str]) -> bool:
        return (RUN / "environment.json").is_file() and len(processes_of(process.pid)) > 1

    with fit("--data.num_workers=2", until=workers_start) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 143, err
        assert json.loads((RUN / "state.json").read_text())["state"] == "interrupted"
        assert "stopped by SIGTERM" in err.splitlines()[-1]
        assert "Traceback" not in err
        wait_until(lambda: not processes_of(process.pid), 10)


def test_workers_end_with_a_killed_process(workspace: Path) -> None:
    with fit("--data.num_workers=2") as process:
        assert len(processes_of(process.pid)) >= 3
        process.kill()
        wait_until(lambda: not processes_of(process.pid), 30)


@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_rank_dies_the_other_ends(rank: int, workspace: Path) -> None:
    with fit("--config", str(ROOT / "configs/hardware/ddp_cpu.yaml")) as process:
        ranks = [process.pid, *(pid for pid in processes_of(process.pid) if pid != process.pid)]
        os.kill(ranks[rank], signal.SIGKILL)
        _, err = process.communicate(timeout=120)
        wait_until(lambda: not processes_of(process.pid), 60)
        assert process.returncode not in (0, 2), err
        assert load()["global_step"] > 0

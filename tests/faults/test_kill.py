"""Processes that are killed without a word, at any moment, and go on from what lies on the disk."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_runs_that_stop import RUN, curves, load

from conftest import ROOT, Command
from lightning_template.engine.runs.digests import is_whole

FIT = [
    "fit",
    f"--config={ROOT / 'configs/line/adam.yaml'}",
    "--data.num_points=10000",
    "--data.batch_size=4",
    "--data.val_fraction=0.2",
    "--trainer.max_epochs=3",
    "--callbacks.checkpoint.every_n_steps=150",
]
"""Three epochs of 2000 steps."""


def kill_after_a_checkpoint(args: list[str], seconds: float) -> None:
    """Start a run, and kill it some time after it has written another checkpoint."""
    last = RUN / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns if last.is_file() else 0
    with subprocess.Popen([sys.executable, "-m", "lightning_template", *args], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 150
        while not (last.is_file() and last.stat().st_mtime_ns > before):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(seconds)
        process.kill()
    assert process.returncode == -9


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_where_it_was(workers: int, command: Command, workspace: Path) -> None:
    args = [*FIT, f"--data.num_workers={workers}"]
    steps = []
    for number, seconds in enumerate(random.Random(workers).uniform(0.0, 0.5) for _ in range(2)):
        kill_after_a_checkpoint([*args, *(["--ckpt_path=last"] if number else [])], seconds)
        assert is_whole(RUN / "checkpoints" / "last.ckpt")
        steps.append(load()["global_step"])
    assert 0 < steps[0] < steps[1] < 6000
    assert command(*args, "--ckpt_path=last").status == 0
    assert command(*FIT, "--trainer.default_root_dir=whole").status == 0
    whole = "whole" / RUN
    for name in ("last", "best"):
        for key in ("state_dict", "optimizer_states", "global_step", "epoch"):
            torch.testing.assert_close(load(name)[key], load(name, whole)[key], rtol=0, atol=0)
    assert curves(RUN) == curves(whole)

"""Two ranks on the CPU, as subprocesses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT, Command

CONFIGS = ["--config", str(ROOT / "configs/line/adam.yaml"), "--trainer.max_epochs", "4", "--data.shuffle", "true"]
RUN = Path("lightning_logs/line_adam/version_0")


@pytest.mark.slow
@pytest.mark.timeout(170)
def test_two_ranks_reach_the_weights_of_one_process(command: Command, workspace: Path) -> None:
    """Five batches of 2 x 8 samples and one of 2 x 2 in an epoch; validation sees 21 samples, each once."""
    shared = [*CONFIGS, "--data.val_fraction", "0.2", "--data.num_points", "105", "--data.eval_batch_size", "2"]
    ranks = ["--config", str(ROOT / "configs/hardware/ddp_cpu.yaml"), "--data.batch_size", "8"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_template", "fit", *shared, *ranks],
        capture_output=True,
        text=True,
        check=False,
        timeout=160,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run        ") == 1  # rank zero speaks
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    assert command("fit", *shared, "--data.batch_size", "16").status == 0
    found, expected = (
        torch.load(RUN.with_name(run) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("version_0", "version_1")
    )
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)
    scores, wanted = (
        json.loads((RUN.with_name(run) / "metrics.json").read_text())["final"] for run in ("version_0", "version_1")
    )
    for metric in ("val/loss", "val/mae", "val/r2", "train/mse"):
        assert scores[metric] == pytest.approx(wanted[metric], rel=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_ranks_stop_together_and_resume(workspace: Path) -> None:
    """One of them gets a signal in the second of four epochs of six steps."""
    args = [*CONFIGS, "--config", str(ROOT / "configs/hardware/ddp_cpu.yaml"), "--data.batch_size", "8"]
    args += ["--data.num_points", "105", "--data.val_fraction", "0.2", "--callbacks.executions.steps", "2"]
    signal = ["--trainer.callbacks=injected.SignalAt", "--trainer.callbacks.number=15", "--trainer.callbacks.step=9"]

    def fit(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lightning_template", "fit", *args, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "faults")},
        )

    assert fit("--trainer.default_root_dir=whole").returncode == 0
    stopped = fit(*signal, "--trainer.callbacks.rank=1")
    assert stopped.returncode == 143, stopped.stderr
    assert stopped.stderr.count("stopped by SIGTERM after step 10") == 1
    resumed = fit("--ckpt_path=last", "--trainer.callbacks=null")
    assert resumed.returncode == 0, resumed.stderr
    one, other = (
        torch.load(root / RUN / "checkpoints" / "last.ckpt", weights_only=True) for root in (Path(), Path("whole"))
    )
    assert one["global_step"] == other["global_step"] == 24
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)
    assert (
        json.loads((RUN / "metrics.json").read_text())["best"]
        == (json.loads(("whole" / RUN / "metrics.json").read_text())["best"])
    )

"""Two ranks on the CPU, as subprocesses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT, Command

CONFIGS = ["--config", str(ROOT / "configs/line/adam.yaml"), "--trainer.max_epochs", "4", "--data.shuffle", "true"]
RUN = Path("lightning_logs/line_adam/version_0")


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

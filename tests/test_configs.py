"""Every YAML under configs/ runs, on tiny data, and says what it promises."""

import json
import re
from pathlib import Path

import pytest
import torch

from conftest import NUM_TEST, ROOT, Command

EXPERIMENTS = sorted((ROOT / "configs").glob("fashion_mnist/*.yaml")) + sorted((ROOT / "configs").glob("line/*.yaml"))
OVERLAYS = sorted((ROOT / "configs").glob("hardware/*.yaml")) + sorted((ROOT / "configs").glob("debug/*.yaml"))
QUICK = [
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--data.eval_batch_size=20",
    "--callbacks.figures=null",
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "configs"))


def data_of(path: Path, fashion_mnist: Path) -> list[str]:
    return ["--data.data_dir", str(fashion_mnist)] if path.parent.name == "fashion_mnist" else []


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_fit_test_and_predict(path: Path, command: Command, fashion_mnist: Path) -> None:
    config = ["--config", str(path), *QUICK, *data_of(path, fashion_mnist)]
    fitted = command("fit", *config)
    assert fitted.status == 0, fitted.err
    (run,) = (file.parent for file in Path("lightning_logs").glob("*/version_*/config.yaml"))
    has_validation = (run / "checkpoints" / "best.ckpt").is_file()
    word = "best" if has_validation else "last"
    assert command("test", *config, "--ckpt_path", word).status == 0
    assert command("predict", *config, "--ckpt_path", word).status == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert "test/loss" in metrics["test"]
    num_rows = len((run / "predictions.csv").read_text().splitlines()) - 1
    assert num_rows == (NUM_TEST if path.parent.name == "fashion_mnist" else 100)


@pytest.mark.parametrize("path", [path for path in OVERLAYS if path.name in ("cpu.yaml", "fast.yaml")], ids=name)
def test_overlay(path: Path, command: Command, fashion_mnist: Path) -> None:
    experiment = ROOT / "configs" / "fashion_mnist" / "mlp.yaml"
    config = ["--config", str(experiment), "--config", str(path), *data_of(experiment, fashion_mnist)]
    fitted = command("fit", *config, *QUICK[1:], *([] if path.parent.name == "debug" else QUICK[:1]))
    assert fitted.status == 0, fitted.err


@pytest.mark.slow
def test_overfitting_learns_a_batch_by_heart(command: Command, fashion_mnist: Path) -> None:
    paths = [ROOT / "configs" / file for file in ("fashion_mnist/cnn.yaml", "debug/overfit.yaml")]
    config = [word for path in paths for word in ("--config", str(path))]
    assert command("fit", *config, "--data.data_dir", fashion_mnist, "--data.batch_size", "16").status == 0
    final = json.loads(Path("lightning_logs/debug/version_0/metrics.json").read_text())["final"]
    assert final["train/loss"] < 0.05
    assert final["train/accuracy"] == 1


@pytest.mark.slow
def test_the_profile_is_a_trace(command: Command, fashion_mnist: Path) -> None:
    paths = [ROOT / "configs" / file for file in ("fashion_mnist/mlp.yaml", "debug/profile.yaml")]
    config = [word for path in paths for word in ("--config", str(path))]
    sizes = ["--data.batch_size=8", "--data.eval_batch_size=8"]
    assert command("fit", *config, "--data.data_dir", fashion_mnist, *sizes).status == 0
    run = Path("lightning_logs/debug/version_0")
    (trace,) = run.glob("*.training_step.*.pt.trace.json")
    assert any("addmm" in event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])


def test_gpu_overlay_is_refused_without_a_gpu(command: Command) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    paths = [ROOT / "configs" / file for file in ("line/ols.yaml", "hardware/gpu.yaml")]
    result = command("fit", *(word for path in paths for word in ("--config", path)))
    assert result.status == 2
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("path", EXPERIMENTS + OVERLAYS, ids=name)
def test_header(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"# Command:  lightning-template fit --config configs/{name(path)}" in text or (
        path in OVERLAYS
        and re.search(rf"# Command:  lightning-template fit .* --config configs/{name(path)}$", text, re.M)
    )
    assert "# Expected: " in text
    assert not re.search("RESULT|TIME", text)
    if path in EXPERIMENTS:
        assert "# Source:   " in text

"""Every YAML under configs/ runs, on tiny data, and says what it promises."""

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from conftest import NUM_TEST, ROOT, Command

FOLDERS = ("fashion_mnist", "line", "records", "shapes", "sequences")
EXPERIMENTS = [path for folder in FOLDERS for path in sorted((ROOT / "configs" / folder).glob("*.yaml"))]
WITH = sorted((ROOT / "configs" / "with").glob("*.yaml"))
OVERLAYS = [
    *sorted((ROOT / "configs").glob("hardware/*.yaml")),
    *sorted((ROOT / "configs").glob("debug/*.yaml")),
    *WITH,
]
QUICK = [
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--data.eval_batch_size=20",
    "--callbacks.figures=null",
]
SAME_SYSTEM = ("mlp_other_start.yaml", "mlp_relu_output.yaml", "mlp_batch_norm.yaml", "l1_momentum.yaml", "adam.yaml")
"""Experiments that differ from another one in values alone: the slow suite trains them."""
SLOW = (
    *SAME_SYSTEM,
    *(f"fashion_mnist_{name}.yaml" for name in ("72", "93", "5_epochs", "20_epochs", "50_epochs")),
    *(f"fashion_mnist_gpu_{name}.yaml" for name in ("94", "95", "96")),
    "residual.yaml",
    "autoencoder.yaml",
    "multilabel.yaml",
    "pairs.yaml",
    "segmentation.yaml",
)


@pytest.fixture
def uncompiled() -> Iterator[None]:
    """Run what a configuration compiles as it is written."""
    with torch.compiler.set_stance("force_eager"):
        yield


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "configs"))


def data_of(path: Path, fashion_mnist: Path) -> list[str]:
    if path.parent.name == "line":
        return []
    is_made_up = path.parent.name in ("shapes", "sequences")
    return ["--data.num_samples=80"] if is_made_up else ["--data.data_dir", str(fashion_mnist)]


def words(text: str) -> list[str]:
    return text.split()


def score(path: Path, rows: list[dict[str, str]]) -> tuple[str, float]:
    """Return a test metric of a ready kind of task, computed from the table of predictions."""
    if path.name == "multilabel.yaml":
        names = ("circle", "square", "cross")
        right = [all(row[f"prediction_{name}"] == row[f"target_{name}"] for name in names) for row in rows]
        return "exact_match", sum(right) / len(rows)
    if path.name == "autoencoder.yaml":
        return "mse", sum(float(row["error"]) for row in rows) / len(rows)
    pairs = [pair for row in rows for pair in zip(words(row["prediction"]), words(row["target"]), strict=True)]
    return "accuracy", sum(found == true for found, true in pairs) / len(pairs)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.name in SLOW)) for path in EXPERIMENTS],
    ids=name,
)
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
    assert math.isfinite(metrics["test"]["test/loss"])
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if path.parent.name in ("fashion_mnist", "records"):
        assert [int(row["target"]) for row in rows] == [number % 10 for number in range(NUM_TEST)]
        right = sum(row["prediction"] == row["target"] for row in rows)
        assert metrics["test"]["test/accuracy"] == pytest.approx(right / NUM_TEST)
    elif path.name == "pairs.yaml":
        assert [len(row) for row in rows] == [1 + 32] * 20
    elif path.parent.name in ("shapes", "sequences"):
        assert len(rows) == 20
        metric, value = score(path, rows)
        assert metrics["test"][f"test/{metric}"] == pytest.approx(value, rel=1e-4)
    else:
        errors = [abs(float(row["value"]) - float(row["target"])) for row in rows]
        assert len(errors) == 100
        assert metrics["test"]["test/mae"] == pytest.approx(sum(errors) / 100, rel=1e-4)


@pytest.mark.parametrize("path", [path for path in OVERLAYS if path.name in ("cpu.yaml", "fast.yaml")], ids=name)
def test_overlay(path: Path, command: Command, fashion_mnist: Path) -> None:
    experiment = ROOT / "configs" / "fashion_mnist" / "mlp.yaml"
    config = ["--config", str(experiment), "--config", str(path), *data_of(experiment, fashion_mnist)]
    config += ["--data.batch_size=16"]
    fitted = command("fit", *config, *QUICK[1:], *([] if path.parent.name == "debug" else QUICK[:1]))
    assert fitted.status == 0, fitted.err
    (run,) = Path("lightning_logs").glob("*/version_0")
    steps = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == (3 if path.name == "fast.yaml" else 6)  # of 96 images in batches of 16
    overlay = yaml.safe_load(path.read_text())["trainer"]
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"].items() >= overlay.items()


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
    (line,) = result.err.splitlines()
    assert line.startswith("lightning-template: error: No supported gpu")


@pytest.mark.parametrize("path", EXPERIMENTS + OVERLAYS + WITH, ids=name)
def test_header(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"# Command:  lightning-template fit --config configs/{name(path)}" in text or (
        path in OVERLAYS + WITH
        and re.search(rf"# Command:  lightning-template fit .* --config configs/{name(path)}$", text, re.M)
    )
    assert "# Expected: " in text
    assert not re.search("RESULT|TIME", text)
    if path in EXPERIMENTS + WITH:
        assert "# Source:   " in text

"""The overlays of `configs/with`: each trains, and the page of recipes has them all."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from conftest import ROOT, Command
from lightning_template.engine.cli.config_names import description

FOLDER = ROOT / "configs" / "with"
TOGETHER = {
    "steps": (
        "line/l1_momentum",
        ["accumulation", "compiled_step", "cosine_warmup", "deterministic", "gradient_clipping", "quiet"],
    ),
    "epochs": (
        "line/l1_momentum",
        ["anomaly_detection", "bf16", "early_stopping", "one_hour", "plateau", "weight_averaging"],
    ),
    "classes": ("fashion_mnist/mlp", ["adamw", "label_smoothing", "no_decay", "one_cycle"]),
}
"""Experiments, and overlays that train with them at once."""


def holds(found: Any, asked: Any) -> bool:
    """Tell whether a configuration has all that an overlay asks for."""
    if isinstance(asked, Mapping):
        found = found if asked.keys() <= {key for name in found for key in (name, f"{name}+")} else found["init_args"]
        return all(
            any(holds(item, value) for item in found[key[:-1]]) if key.endswith("+") else holds(found[key], value)
            for key, value in asked.items()
        )
    if isinstance(asked, str) and isinstance(found, Mapping):  # a class without arguments
        found = found["class_path"]
    if isinstance(found, str) and found.startswith("lightning_template."):  # a class may have a shorter path
        found, asked = found.rpartition(".")[2], asked.rpartition(".")[2]
    return bool(found == asked)


@pytest.fixture
def restored() -> Iterator[None]:
    """Allow all algorithms again, and run what is compiled as it is written."""
    with torch.compiler.set_stance("force_eager"):
        yield
    torch.use_deterministic_algorithms(False)


def test_every_overlay_is_tried() -> None:
    assert sorted(name for _, names in TOGETHER.values() for name in names) == [
        path.stem for path in sorted(FOLDER.glob("*.yaml"))
    ]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("group", TOGETHER)
def test_overlays_train(group: str, command: Command, fashion_mnist: Path) -> None:
    Path("configs").symlink_to(ROOT / "configs")
    experiment, names = TOGETHER[group]
    overlays = [word for name in names for word in ("--with", name)]
    sizes = ["--data.batch_size=10", "--data.val_fraction=0.2", "--trainer.max_epochs=2", "--callbacks.figures=null"]
    data = ["--data.data_dir", str(fashion_mnist), "--data.val_on_test=false"] if group == "classes" else []
    result = command("fit", *overlays, "--config", experiment, *sizes, *data, "--trainer.log_every_n_steps=1")
    assert result.status == 0, result.err
    run = Path("lightning_logs") / experiment.replace("/", "_") / "version_0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    for name in names:
        assert holds(config, yaml.safe_load((FOLDER / f"{name}.yaml").read_text())), name
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    steps = {"steps": 2 * 2, "epochs": 2 * 8, "classes": 2 * 8}  # of 80 points or 77 images; or 4 batches each
    assert checkpoint["global_step"] == steps[group]
    if group == "classes":
        assert sorted(part["weight_decay"] for part in checkpoint["optimizer_states"][0]["param_groups"]) == [0, 0.01]
    if group == "epochs":
        assert "averaging_state" in checkpoint
        assert "EarlyStopping" in str(checkpoint["callbacks"])


def test_the_page_of_recipes_and_the_folder_agree() -> None:
    rows = re.findall(r"^\| .* \| `--with (\w+)` \| .* \|$", (ROOT / "docs" / "recipes.md").read_text(), re.MULTILINE)
    assert sorted(rows) == [path.stem for path in sorted(FOLDER.glob("*.yaml"))]


def test_the_help_lists_overlays(command: Command) -> None:
    assert "--with:" not in command("fit", "--help").out
    Path("configs").symlink_to(ROOT / "configs")
    out = command("fit", "--help").out
    assert all(re.search(rf"^  {path.stem} +{re.escape(description(path))}$", out, re.M) for path in FOLDER.glob("*"))
    assert description(FOLDER / "quiet.yaml") == "shows no progress bar."


STOP = """
import os, signal
from lightning.pytorch import Callback
class Stop(Callback):
    def on_train_batch_end(self, trainer, *others):
        if os.environ.get("STOP_AT") == str(trainer.global_step):
            os.kill(os.getpid(), signal.SIGTERM)
"""
RESUMED = {
    "averages": (["weight_averaging", "early_stopping", "bf16"], 13),
    "accumulation": (["accumulation", "one_cycle", "gradient_clipping"], 3),
    "schedule": (["cosine_warmup", "adamw", "no_decay"], 13),
}
"""Overlays, and the step after which a run stops."""


@pytest.mark.slow
@pytest.mark.parametrize("group", RESUMED)
def test_runs_with_overlays_resume_exactly(group: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("configs").symlink_to(ROOT / "configs")
    Path("stopping.py").write_text(STOP)
    names, step = RESUMED[group]
    args = ["--config", "line/mlp", "--trainer.max_epochs=3", "--data.batch_size=10", "--data.val_fraction=0.2"]
    args += [word for name in names for word in ("--with", name)] + ["--trainer.callbacks+=stopping.Stop"]
    assert command("fit", *args, "--experiment", "whole").status == 0
    monkeypatch.setenv("STOP_AT", str(step))
    assert command("fit", *args, "--experiment", "part").status == 128 + 15
    monkeypatch.delenv("STOP_AT")
    assert command("fit", "--ckpt_path", "lightning_logs/part/version_0").status == 0
    whole, part = (
        torch.load(f"lightning_logs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "part")
    )
    assert whole["global_step"] == part["global_step"] > step
    for key in ("state_dict", "current_model_state", "averaging_state"):
        for name, value in whole.get(key, {}).items():
            torch.testing.assert_close(part[key][name], value, rtol=0, atol=0)
    assert ("averaging_state" in whole) == (group == "averages")

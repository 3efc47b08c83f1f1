"""The multi-label task passes every check, and its configuration trains."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from examples.shapes import MultiLabelTask, ShapesDataModule
from lightning_template.engine.cli import main as __main__
from lightning_template.networks import ConvNet
from lightning_template.testing import parametrize_checks

CONFIG = Path(__file__).with_name("shapes.yaml")


def make_task() -> MultiLabelTask:
    network = ConvNet(in_channels=1, channels=[8], out_features=3, image_size=16)
    return MultiLabelTask(network=network, num_labels=3, optimizer=partial(torch.optim.AdamW, lr=1e-2))


@parametrize_checks(make_task, partial(ShapesDataModule, num_samples=160, batch_size=16))
def test_shapes(check: Callable[[], None]) -> None:
    check()


def test_the_configuration_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    options = ["--trainer.max_epochs=3", "--data.num_samples=1000", "--trainer.log_every_n_steps=1"]
    options += ["--trainer.accelerator=cpu"]
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit", f"--config={CONFIG}", *options])
    assert __main__.main() == 0
    final = json.loads((tmp_path / "lightning_logs/shapes/version_0/metrics.json").read_text())["final"]
    assert final["val/f1"] > 0.7  # guessing that every shape is there gives 0.67

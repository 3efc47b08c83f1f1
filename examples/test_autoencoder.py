"""The autoencoder passes every check, and its configuration learns, on images made up on the spot."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from examples.autoencoder import Autoencoder, AutoencoderTask, ImagesDataModule
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.engine.cli import main as __main__
from lightning_template.testing import parametrize_checks

CONFIG = Path(__file__).with_name("autoencoder.yaml")


def load(self: FashionMNISTDataModule) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images of which a half is bright, and their classes."""
    images = torch.zeros(160, 28, 28, dtype=torch.uint8)
    for number, image in enumerate(images):
        half = (image[:14], image[14:], image[:, :14], image[:, 14:])[number % 4]
        half += 200
    return (images[:120], torch.zeros(120)), (images[120:], torch.zeros(40))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMNISTDataModule, "prepare_data", lambda self: None)
    monkeypatch.setattr(FashionMNISTDataModule, "load", load)


def make_task() -> AutoencoderTask:
    return AutoencoderTask(Autoencoder(num_features=4, channels=4), optimizer=partial(torch.optim.Adam, lr=1e-2))


@parametrize_checks(make_task, partial(ImagesDataModule, batch_size=16))
def test_autoencoder(check: Callable[[], None]) -> None:
    check()


def test_the_configuration_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    options = ["--trainer.max_epochs=3", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu"]
    options += ["--data.batch_size=8", "--callbacks.figures.every_n_epochs=3"]
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit", f"--config={CONFIG}", *options])
    assert __main__.main() == 0
    final = json.loads((tmp_path / "lightning_logs/autoencoder/version_0/metrics.json").read_text())["final"]
    assert final["val/loss"] < (100 / 255) ** 2 / 4  # a quarter of what the mean image, grey of level 100, has
    assert final["val/mae"] < 100 / 4

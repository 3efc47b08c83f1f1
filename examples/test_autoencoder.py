"""The autoencoder passes every check, and its configuration trains, on images made up on the spot."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from examples.autoencoder import Autoencoder, AutoencoderTask, ImagesDataModule
from lightning_template import __main__
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.testing import parametrize_checks

CONFIG = Path(__file__).with_name("autoencoder.yaml")


def load(self: FashionMNISTDataModule) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images that have a bright square each, and their classes."""
    images = torch.zeros(160, 28, 28, dtype=torch.uint8)
    for image, place in zip(
        images, torch.randint(4, 16, (160, 2), generator=torch.Generator().manual_seed(0)), strict=True
    ):
        image[place[0] : place[0] + 8, place[1] : place[1] + 8] = 200
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


def test_the_configuration_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    options = ["--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu"]
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit", f"--config={CONFIG}", *options])
    assert __main__.main() == 0

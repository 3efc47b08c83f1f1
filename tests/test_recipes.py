"""The tutorials' recipes, through the command line, against plain PyTorch loops written here."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from conftest import ROOT, Command

REAL_DATA = ROOT.parent / "shared" / "data"
MEASURED = [0.4948, 0.5923, 0.6130]
"""Test accuracy of recipe 784-512-512-10 after epochs 1, 2 and 3 at seed 0, from a plain loop on the real data."""


def read(data_dir: Path, part: str) -> tuple[Tensor, Tensor]:
    """Read images (N, 1, 28, 28) in [0, 1] and labels (N,) with nothing but gzip and numpy."""
    raw = data_dir / "FashionMNIST" / "raw"
    images, labels = (
        gzip.decompress((raw / f"{part}-{kind}-ubyte.gz").read_bytes()) for kind in ("images-idx3", "labels-idx1")
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return torch.from_numpy(pixels), torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def plain_loop(
    network: nn.Module, data: dict[str, tuple[Tensor, Tensor]], num_epochs: int, batch_size: int = 64
) -> list[tuple[float, float, float]]:
    """Return training loss, test loss and test accuracy after each epoch of SGD with a learning rate of 1e-3."""
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    images, labels = data["train"]
    history = []
    for _ in range(num_epochs):
        total = 0.0
        for start in range(0, len(images), batch_size):
            x, y = images[start : start + batch_size], labels[start : start + batch_size]
            loss = loss_function(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        with torch.no_grad():
            outputs = network(data["t10k"][0])
            test_loss = loss_function(outputs, data["t10k"][1]).item()
            accuracy = (outputs.argmax(1) == data["t10k"][1]).double().mean().item()
        history.append((total / len(images), test_loss, accuracy))
    return history


def logged(run: Path, tag: str) -> list[float]:
    events = EventAccumulator(str(run))
    events.Reload()
    return [event.value for event in events.Scalars(tag)]


def check_against_plain_loop(command: Command, data_dir: Path, num_epochs: int) -> list[tuple[float, float, float]]:
    config = ROOT / "configs/fashion_mnist/mlp.yaml"
    options = ["--data.data_dir", str(data_dir), "--trainer.num_sanity_val_steps=0", "--trainer.log_every_n_steps=1"]
    assert command("fit", "--config", config, f"--trainer.max_epochs={num_epochs}", *options).status == 0
    run = Path("lightning_logs/fashion_mnist_mlp/version_0")
    torch.manual_seed(0)
    history = plain_loop(perceptron(), {part: read(data_dir, part) for part in ("train", "t10k")}, num_epochs)
    for tag, expected in zip(("train/loss", "val/loss", "val/accuracy"), zip(*history, strict=True), strict=True):
        np.testing.assert_allclose(logged(run, tag), expected, rtol=0, atol=1e-6, err_msg=tag)
    return history


def test_the_perceptron_recipe_equals_a_plain_loop(command: Command, fashion_mnist: Path) -> None:
    check_against_plain_loop(command, fashion_mnist, num_epochs=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="needs the real FashionMNIST files in ../shared/data")
def test_the_perceptron_recipe_on_the_real_data(command: Command) -> None:
    history = check_against_plain_loop(command, REAL_DATA, num_epochs=3)
    assert [accuracy for _, _, accuracy in history] == pytest.approx(MEASURED, abs=1e-4)


def points() -> tuple[Tensor, Tensor]:
    """The line datamodule's points: its noise is drawn from a generator of its own with seed 0."""
    x = torch.linspace(0, 10, 100).unsqueeze(1)
    return x, 3 * x + 2 + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def line_losses(network: nn.Module, loss_function: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    x, y = points()
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = loss_function(network(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


SEEDS = {"adam": 55, "mlp": 7}
"""Starts that are near the tutorial's, as the YAML files have them."""
LINES: dict[str, tuple[Callable[[], nn.Module], nn.Module, Callable[[nn.Module], torch.optim.Optimizer]]] = {
    "adam": (lambda: nn.Linear(1, 1), nn.MSELoss(), lambda net: torch.optim.Adam(net.parameters(), lr=1e-3)),
    "mlp": (
        lambda: nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)),
        nn.MSELoss(),
        lambda net: torch.optim.SGD(net.parameters(), lr=0.01),
    ),
    "l1_momentum": (
        lambda: nn.Linear(1, 1),
        nn.L1Loss(),
        lambda net: torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_a_line_recipe_equals_a_plain_loop(name: str, command: Command) -> None:
    assert command("fit", "--config", ROOT / f"configs/line/{name}.yaml", "--data.shuffle=false").status == 0
    torch.manual_seed(SEEDS.get(name, 0))
    build, loss_function, make_optimizer = LINES[name]
    network = build()
    expected = line_losses(network, loss_function, make_optimizer(network))
    found = logged(Path(f"lightning_logs/line_{name}/version_0"), "train/loss")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if name == "adam":  # the tutorial's loss falls by 0.19 an epoch
        assert (found[71] - found[1]) / 70 == pytest.approx((198.0 - 211.3) / 70, abs=0.005)
    if name == "mlp":  # the tutorial's losses of a dead start: the excess over the variance shrinks by 0.98 squared
        variance = points()[1].var(correction=0).item()
        excess = np.array(found)[9:] - variance
        np.testing.assert_allclose(excess[1:] / excess[:-1], 0.98**2, atol=2e-3)
        assert [found[9], found[49], found[99]] == pytest.approx([304.1, 122.3, 83.1], abs=2)

"""`find-lr`: the rate where the loss falls fastest, against losses that are known; options that set it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from conftest import ROOT, Command
from lightning_template.engine.looking import batch_size
from lightning_template.engine.looking.learning_rate import RangeTest, in_proportion
from lightning_template.engine.looking.rate_options import rate_options, scaled_groups

RATES = [1e-6 * 10 ** (7 * step / 99) for step in range(100)]

FOREIGN = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset


class Plane(LightningDataModule):
    def __init__(self, batch_size: int = 4):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, x @ torch.tensor([[1.0], [2.0], [3.0]])), batch_size=self.batch_size)

    def val_dataloader(self):
        return self.train_dataloader()


class Module(LightningModule):
    def __init__(self, speed: float = 0.003, limit: int = 1000, ways: int = 1):
        super().__init__()
        self.save_hyperparameters()
        self.first, self.second = torch.nn.Linear(3, 8), torch.nn.Linear(8, 1)
        self.automatic_optimization = ways != 0
        self.seen = []

    def training_step(self, batch, batch_idx):
        if len(batch[0]) > self.hparams.limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return torch.nn.functional.mse_loss(self.second(self.first(batch[0])), batch[1])

    def on_before_zero_grad(self, optimizer):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert abs(10 * rates[1] / rates[0] - 1) < 1e-6, rates

    def validation_step(self, batch, batch_idx):
        raise AssertionError("no validation")

    def configure_callbacks(self):
        return [ModelCheckpoint(monitor="val_loss"), EarlyStopping("val_loss"), LearningRateMonitor()]

    def configure_optimizers(self):
        if self.hparams.ways < 0:
            return None
        rate = self.hparams.speed
        groups = [{"params": self.first.parameters()}, {"params": self.second.parameters(), "lr": rate / 10}]
        made = torch.optim.SGD(groups, lr=rate)
        return [made], [torch.optim.lr_scheduler.StepLR(made, 1)]
"""


def curve(at: float, floor: float = 0.1, noise: float = 0.0, up: float = math.inf) -> RangeTest:
    """Return losses that fall fastest at a rate, and explode at another."""
    generator = torch.Generator().manual_seed(0)
    scatter = noise * torch.randn(100, generator=generator)
    losses = [
        floor + 2 / (1 + (rate / at) ** 2) + (rate / up) ** 4 + off.item()
        for rate, off in zip(RATES, scatter, strict=True)
    ]
    return RangeTest(0.1, RATES, losses)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("at", [1e-4, 3e-3, 0.1])
def test_the_suggestion_is_where_the_loss_falls_fastest(at: float, noise: float) -> None:
    suggestion = curve(at, noise=noise, up=30 * at).suggestion()
    assert suggestion is not None
    steepest, lowest = (RATES[step] for step in suggestion)
    assert at / 2 < steepest < 2 * at
    assert steepest < lowest < 60 * at


@pytest.mark.parametrize(
    "losses",
    [
        [1.0] * 100,
        [2.0 + 0.1 * (-1) ** step for step in range(100)],
        [1.0 + step for step in range(100)],
        [80.0, 60.0, 10.0] + [0.4] * 97,
        [math.nan] * 100,
        [],
    ],
)
def test_losses_without_a_suggestion(losses: list[float]) -> None:
    assert RangeTest(0.1, RATES[: len(losses)], losses).suggestion() is None


def test_groups_step_with_rates_in_proportion() -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    groups: list[dict[str, Any]] = [{"params": [weight]} for weight in weights]
    groups[1]["lr"], groups[2]["lr"] = 0.01, 0.5
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with in_proportion(optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 1.0
        for weight in weights:
            weight.grad = torch.ones(1)
        optimizer.step()
        assert [group["lr"] for group in optimizer.param_groups] == [1.0] * 3
    assert [weight.item() for weight in weights] == pytest.approx([-1.0, -0.1, -5.0])
    optimizer.step()
    assert weights[1].item() == pytest.approx(-1.1)


def test_the_option_that_sets_a_rate() -> None:
    task = {"model.optimizer.lr": 0.1, "model.lr_scheduler.max_lr": None, "data.lr": 0.1}
    assert rate_options(task, 0.1, 0.05, None) == ["--model.optimizer.lr", "0.05"]
    peak = task | {"model.lr_scheduler.after.max_lr": 0.2}
    assert rate_options(peak, 0.1, 0.05, None) == ["--model.lr_scheduler.after.max_lr", "0.05"]
    groups = {"head": {"lr": 0.01, "weight_decay": 0.0}, "body": {"weight_decay": 0.1}}
    words = rate_options(task, 0.1, 0.05, groups)
    assert words[2:] == [
        "--model.optimizer_groups",
        '\'{"head": {"lr": 0.005, "weight_decay": 0.0}, "body": {"weight_decay": 0.1}}\'',
    ]
    assert scaled_groups({"body": {"weight_decay": 0.1}}, 2.0) == {}
    assert rate_options({"model.a": 1e-3, "model.lr": 0.001, "model.b": 2}, 1e-3, 0.5, None)[0] == "--model.lr"
    assert rate_options({"model.speed": 0.1, "model.b": "0.1", "trainer.c": 0.1}, 0.1, 1, None)[0] == ("--model.speed")
    assert rate_options({"model.a": 0.1, "model.b": 0.1}, 0.1, 0.5, None) == []
    assert rate_options({}, 0.1, 0.5, None) == []


@pytest.mark.slow
def test_a_foreign_module_with_groups_and_a_schedule(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text(FOREIGN)
    monkeypatch.setattr(batch_size, "has_limit", lambda trainer: True)
    result = command("find-lr", "--model=mine.Module", "--data=mine.Plane", "--model.limit=40", "--output=lr.png")
    assert result.status == 0, result.err
    lines = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert lines["present rate"].strip() == "0.003"
    rate = float(lines["suggested rate"].split(",")[0])
    assert 1e-3 < rate < 1
    assert lines["to use it"].strip() == f"--model.speed {rate:.3g}"
    assert lines["largest batch"].strip() == "32 samples: --data.batch_size 32"
    with Image.open("lr.png") as picture:
        assert picture.size == (700, 450)
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == {"mine.py", "lr.png"}
    assert result.err == ""


@pytest.mark.slow
def test_the_largest_batch_ends_with_the_samples(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "has_limit", lambda trainer: True)
    config = ROOT / "configs/line/adam.yaml"
    result = command("find-lr", "--config", config, "--data.batch_size=30", "--trainer.max_epochs=1")
    assert result.status == 0, result.err
    assert "largest batch   120 samples: --data.batch_size 120" in result.out
    assert "--model.optimizer.lr" in result.out


@pytest.mark.filterwarnings("ignore:.*configure_optimizers. returned .None.")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model.ways=0"], "`find-lr` sets the rate of each step, and Module steps by itself"),
        (["--model.ways=-1"], "`find-lr` needs one optimizer, and Module has another number"),
        (["--output=lr.pdf"], "must be a file that ends in .png"),
    ],
)
def test_what_has_no_range_test_is_one_line(command: Command, args: list[str], message: str) -> None:
    Path("mine.py").write_text(FOREIGN)
    result = command("find-lr", "--model=mine.Module", "--data=mine.Plane", *args)
    assert result.status == 2, result.err
    assert message in result.err
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == {"mine.py"}

"""`profile`: operations against a formula, its arithmetic and words, and modules of every kind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from conftest import ROOT, Command
from lightning_template.engine.looking import measured, steps
from lightning_template.engine.looking.measured import Measured
from lightning_template.engine.looking.profile import report
from lightning_template.engine.looking.steps import doubled, ratio

FOREIGN = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader


class Data(LightningDataModule):
    def train_dataloader(self):
        return {"a": DataLoader([torch.ones(3)] * 8, batch_size=4), "b": DataLoader([torch.zeros(3)] * 8, batch_size=4)}


class OfIterators(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def train_dataloader(self):
        return DataLoader([torch.ones(3)] * 8, batch_size=4)

    def training_step(self, dataloader_iter):
        batch, _, _ = next(dataloader_iter)
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.automatic_optimization = False

    def configure_callbacks(self):
        return ModelCheckpoint(every_n_train_steps=1)

    def training_step(self, batch):
        optimizer = self.optimizers()
        loss = (self.layer(batch["a"]) - self.layer(batch["b"])).square().mean()
        self.log("train_loss", loss)
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment: no number is asserted."""
    for name in ("TOGETHER_SECONDS", "LOADER_SECONDS", "TRIAL_SECONDS"):
        monkeypatch.setattr(measured, name, 0.01)
    monkeypatch.setattr(steps, "PEAK_SECONDS", 0.0)
    monkeypatch.setattr(steps, "SIZES", (32,))


@pytest.mark.slow
def test_a_task_with_its_loader(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "MIN_SHARE", -1.0)
    monkeypatch.setattr(measured, "WORKERS", (0, 1))
    result = command("profile", "--config", ROOT / "configs/line/adam.yaml", "--data.batch_size=10")
    assert result.status == 0, result.err
    rows = [line.split("  ")[0] for line in result.out.splitlines()]
    assert rows[1:8] == [
        *("waiting for data", "transfer", "forward", "backward", "optimizer", "around them", "together"),
    ]
    assert "in batches of 10\n" in result.out
    assert all(name in result.out for name in ("GFLOP/s", "1 workers, ", "bfloat16, ", "a batch twice as large, "))
    assert list(Path().iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*dataloader_iter")
@pytest.mark.parametrize(
    ("args", "row"),
    [
        (["--model=mine.Module", "--data=mine.Data"], "forward, backward and optimizer"),
        (["--model=mine.OfIterators"], "backward"),
        pytest.param(
            ["--config", str(ROOT / "configs/line/ols.yaml")],
            "optimizer, which calls forward and backward",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_steps_of_other_kinds(command: Command, args: list[str], row: str) -> None:
    Path("mine.py").write_text(FOREIGN)
    result = command("profile", *args)
    assert result.status == 0, result.err
    assert f"\n{row}  " in result.out
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == {"mine.py"}


def test_a_mistake_is_one_line(command: Command) -> None:
    result = command("profile", "--config", ROOT / "configs/line/adam.yaml", "--ckpt_path=best")
    assert result.status == 2
    assert result.err == "lightning-template: error: an untrained task is looked at: leave out --ckpt_path\n"


def test_operations_are_those_of_the_formula() -> None:
    layer = nn.Linear(16, 8)
    step = steps.Step.__new__(steps.Step)
    step.optimizer, step._takes_index, step._takes_iterator = None, False, False
    step.context = torch.enable_grad
    step.module = SimpleNamespace(  # type: ignore[assignment]
        automatic_optimization=True, training_step=lambda x: layer(x).sum(), backward=lambda loss: loss.backward()
    )
    assert step.operations(torch.rand(5, 16)) == 2 * (2 * 5 * 16 * 8)  # outputs, and gradients of the weights


def test_a_batch_twice_as_large() -> None:
    batch = {"x": torch.arange(6).view(3, 2), "names": ["a"], "scale": torch.tensor(2.0), "edges": torch.zeros(2, 9)}
    larger = doubled(batch, 3)
    assert larger["x"].tolist() == [[0, 1], [2, 3], [4, 5]] * 2
    assert larger["edges"].shape == (2, 9)
    assert larger["scale"].item() == 2.0


def test_a_ratio_is_that_of_the_same_rounds() -> None:
    assert ratio({"a": [2.0, 20.0, 4.0], "b": [1.0, 10.0, 1.0]}, "a", "b") == 2.0


def found(**changes: Any) -> Measured:
    parts = {"data": 0.004, "transfer": 0.001, "forward": 0.002, "backward": 0.003, "optimizer": 0.001}
    gains = {"2 workers": 1.5, "bfloat16": 0.9, "a batch twice as large": 1.2}
    made = Measured(50, 0.012, parts, 0, 1e12, "float32", 3 * 10**9, gains)
    return Measured(**vars(made) | changes)


def test_the_arithmetic_of_a_step() -> None:
    alone = found()
    assert alone.waits == pytest.approx(0.004)
    assert alone.around == pytest.approx(0.001)
    assert found(workers=2).waits == 0  # they load while the other 7 ms pass
    assert found(workers=2, together=0.008).around == pytest.approx(0.001)
    slow = found(workers=2, parts={"data": 0.01, "forward": 0.004})
    assert slow.waits == pytest.approx(0.006)
    assert found(together=0.001).around == 0


def test_the_words() -> None:
    options = {"trainer.precision": None, "data.num_workers": 0}
    text = report(found(), options)
    assert "waiting for data  4.000      33%" in text
    assert "4,167 samples a second, in batches of 50" in text
    assert "peak: 1,000 GFLOP/s, by a matrix product in float32; a step has 3 GFLOP and reaches 25.0% of it" in text
    assert "most of it: waiting for data, 33% of a step" in text
    helps = [line for line in text.splitlines() if line.startswith("would")]
    assert helps == [
        "would help: 2 workers, 1.50 times as many samples a second without what is around (--data.num_workers 2)",
        "would help: a batch twice as large, 1.20 times as many samples a second without what is around "
        "(`batch_size` of the DataLoader: 100, with a rate for it: find-lr)",
        "would not help: bfloat16, 0.90 times",
    ]
    assert "cannot be counted" in report(found(operations=0, workers=3, gains={}), options)

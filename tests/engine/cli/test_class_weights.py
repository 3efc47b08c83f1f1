"""Weights of classes, as a list or balanced by the training data."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from conftest import Command
from lightning_template.engine.sizes import DataSizes, balanced_pos_weight, balanced_weights
from lightning_template.load import load_config, load_run

DATA = """
import torch
from lightning_template.datamodules import InMemoryDataModule

class Rows(InMemoryDataModule):
    num_classes = 3
    def load(self):
        return (torch.arange(390.).view(30, 13).sin(), torch.tensor([0, 0, 0, 1, 2] * 6)), None

class TwoRows(Rows):
    num_classes = 2
    def load(self):
        (inputs, targets), _ = super().load()
        return (inputs, (targets > 0).long()), None

class Labels(InMemoryDataModule):
    num_labels = 3
    def load(self):
        inputs = torch.arange(390.).view(30, 13).sin()
        return (inputs, (inputs[:, :3] > torch.tensor([-0.5, 0., 0.5])).float()), None
"""
CE, BCE = "torch.nn.CrossEntropyLoss", "torch.nn.BCEWithLogitsLoss"


@pytest.fixture(autouse=True)
def weighted(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("weighted.py").write_text(DATA)
    monkeypatch.syspath_prepend(workspace)
    importlib.invalidate_caches()


def write(loss: str, data: str = "Rows", **arguments: Any) -> str:
    task = "MultilabelTask" if data == "Labels" else "ClassificationTask"
    network = {"class_path": "lightning_template.networks.MLP", "init_args": {"hidden_features": []}}
    model = {
        "network": network,
        "loss": {"class_path": loss, "init_args": arguments},
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
    }
    config = {
        "model": {"class_path": f"lightning_template.tasks.{task}", "init_args": model},
        "data": {"class_path": f"weighted.{data}", "init_args": {"batch_size": 8}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1, "enable_model_summary": False},
        "callbacks": dict.fromkeys(("dashboard", "figures", "monitor", "progress_bar", "executions")),
    }
    Path("weights.yaml").write_text(yaml.safe_dump(config))
    return "weights.yaml"


def test_a_list_of_numbers_is_a_tensor_of_the_loss(command: Command) -> None:
    assert command("fit", "--config", write(CE, weight=[1, 1, 2])).status == 0
    run = Path("lightning_logs/weights/version_0")
    saved = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["loss"]["init_args"]
    assert saved["weight"] == [1.0, 1.0, 2.0]
    task: Any = load_run(run).task
    assert task.loss.weight.tolist() == [1, 1, 2]
    assert task.to("meta").loss.weight.is_meta
    assert command("fit", "--config", "weights.yaml", "--model.loss.weight=[3, 1, 2]").status == 0
    task = load_run("lightning_logs/weights/version_1").task
    assert task.loss.weight.tolist() == [3, 1, 2]


def test_a_balanced_loss_has_the_numbers_of_the_training_samples(command: Command) -> None:
    assert command("fit", "--config", write(CE, weight="balanced")).status == 0
    run = Path("lightning_logs/weights/version_0")
    stored: Any = load_run(run)
    part = stored.data.train_set
    targets = part.targets[part.indices].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert len(targets) < 30
    np.testing.assert_allclose(stored.task.loss.weight, expected, rtol=1e-6)
    saved = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["loss"]["init_args"]["weight"]
    np.testing.assert_allclose(saved, expected, rtol=1e-6)
    Path("weighted.py").write_text(DATA.replace("[0, 0, 0, 1, 2]", "[0, 1, 1, 1, 2]"))
    assert command("test", "--config", "weights.yaml", "--ckpt_path", "best").status == 0


@pytest.mark.parametrize(
    ("loss", "data", "name"),
    [
        ("torch.nn.NLLLoss", "Rows", "weight"),
        ("lightning_template.losses.FocalLoss", "Rows", "weight"),
        (BCE, "TwoRows", "pos_weight"),
        (BCE, "Labels", "pos_weight"),
    ],
)
@pytest.mark.usefixtures("workspace")
def test_losses_that_can_be_balanced(loss: str, data: str, name: str) -> None:
    task, made = load_config(write(loss, data, **{name: "balanced"}))
    part: Any = vars(made)["train_set"]
    targets = part.targets[part.indices].reshape(len(part), -1).numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets[:, 0]) if data == "Rows" else None
    if expected is None:
        expected = np.array([(column == 0).sum() / (column == 1).sum() for column in targets.T])
    np.testing.assert_allclose(getattr(task.loss, name), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "data", "arguments", "message"),
    [
        (CE, "Rows", {"weight": [1, 2]}, "the data have 3 classes, `model.loss.init_args.weight` has 2 numbers"),
        (CE, "Rows", {"weight": [1]}, "the data have 3 classes, `model.loss.init_args.weight` has 1 number"),
        (
            BCE,
            "Labels",
            {"pos_weight": [1, 2]},
            "the data have 3 labels, `model.loss.init_args.pos_weight` has 2 numbers",
        ),
        (
            BCE,
            "TwoRows",
            {"pos_weight": [1, 2]},
            "the data have 1 value for each sample of two classes, `model.loss.init_args.pos_weight` has 2 numbers",
        ),
        (BCE, "TwoRows", {"weight": "balanced"}, "`model.loss.init_args.weight` weighs samples, not classes: give a "),
        (CE, "Labels", {"weight": "balanced"}, "balanced weights need class indices as targets, got torch.float32"),
        (CE, "Rows", {"weight": "balance"}, "`model.loss.weight`"),
        (CE, "Rows", {"weight": [[1], [1, 2]]}, "`model.loss.weight`"),
    ],
)
def test_mistakes_are_one_line(loss: str, data: str, arguments: Any, message: str, command: Command) -> None:
    result = command("fit", "--config", write(loss, data, **arguments))
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert not Path("lightning_logs").exists()


def test_a_balanced_class_counts_as_much_as_any_other() -> None:
    targets = torch.tensor([[0, 0, 1, -100], [0, 2, 2, -100]])
    weights = balanced_weights(targets, 3)
    losses = nn.functional.cross_entropy(torch.zeros(2, 3, 4), targets, weights, reduction="none")
    assert [losses[targets == number].sum().item() for number in range(3)] == pytest.approx(
        [losses.sum().item() / 3] * 3
    )
    for wrong, number in ((torch.tensor([0, 2]), 3), (torch.tensor([0, 3]), 3)):
        with pytest.raises(ValueError, match=r"class 1 has no|have 4 classes"):
            balanced_weights(wrong, number)


def test_positive_targets_count_as_much_as_negative_ones() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    losses = nn.functional.binary_cross_entropy_with_logits(
        torch.zeros(4, 2), targets, pos_weight=balanced_pos_weight(targets), reduction="none"
    )
    for column in range(2):
        positive = targets[:, column] == 1
        assert losses[positive, column].sum() == pytest.approx(losses[~positive, column].sum().item())
    for wrong in (torch.tensor([0, 2]), torch.tensor([0, 0])):
        with pytest.raises(ValueError, match=r"needs targets 0 and 1|no positive"):
            balanced_pos_weight(wrong)


def test_targets_of_a_part_are_its_own() -> None:
    from lightning.pytorch import LightningDataModule

    whole = TensorDataset(torch.rand(9, 2), torch.arange(9) % 4)
    part = Subset(Subset(whole, [8, 7, 6, 5]), [0, 2])
    made = LightningDataModule()
    made.train_dataloader = lambda: DataLoader(part, 3)  # type: ignore[method-assign]
    assert DataSizes(made, is_ready=True).train_targets().tolist() == [0, 2]  # type: ignore[union-attr]
    made.train_dataloader = lambda: DataLoader([whole[number] for number in (3, 5)], 2, shuffle=True)  # type: ignore
    assert DataSizes(made, is_ready=True).train_targets().tolist() == [3, 1]  # type: ignore[union-attr]

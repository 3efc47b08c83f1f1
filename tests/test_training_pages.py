"""The overlays of docs/training.md and docs/pretrained.md, one by one, against torch used by hand."""

import copy
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
import yaml
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    SequentialLR,
)
from torchvision.models import resnet18

import moved_schedules
from conftest import ROOT, Command
from lightning_template import load_config

PAGES = ("docs/training.md", "docs/pretrained.md")
BLOCKS = {
    name: text
    for page in PAGES
    for text, name in re.findall(
        r"^```(?:yaml|python)\n(# ([\w.]+)\n.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
}
EPOCHS, STEPS, RATE = 20, 5, 0.04
BASE = f"""
model:
  class_path: lightning_template.tasks.ClassificationTask
  init_args:
    num_classes: 10
    network:
      class_path: lightning_template.networks.ConvNet
      init_args: {{channels: [4], in_channels: 1, out_features: 10, image_size: 28}}
    loss: torch.nn.CrossEntropyLoss
    optimizer: {{class_path: torch.optim.SGD, init_args: {{lr: {RATE}, weight_decay: 0.1}}}}
data: {{class_path: lightning_template.datamodules.FashionMNISTDataModule, init_args: {{batch_size: 32}}}}
"""


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with an overlay, whose classes replace others."""
    if "class_path" in above and below.get("class_path") != above["class_path"]:
        return above
    parts = {key: merged(below[key], value) for key, value in above.items() if isinstance(below.get(key), dict)}
    return below | above | {key: value for key, value in parts.items() if isinstance(above[key], dict)}


@pytest.fixture
def task_of(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that makes the task of a configuration with an overlay."""
    (workspace / "my_package.py").write_text(BLOCKS["my_package.py"])
    monkeypatch.syspath_prepend(workspace)

    def make(overlay: str) -> LightningModule:
        config = merged(yaml.safe_load(BASE), yaml.safe_load(overlay))
        config.pop("trainer", None)
        (workspace / "config.yaml").write_text(yaml.safe_dump(config))
        task = load_config("config.yaml")[0]
        trainer = SimpleNamespace(
            max_epochs=EPOCHS,
            estimated_stepping_batches=EPOCHS * STEPS,
            num_training_batches=STEPS,
            accumulate_grad_batches=1,
        )
        monkeypatch.setattr(type(task), "trainer", trainer)
        return task

    return make


def rates_of(task: LightningModule) -> list[float]:
    """Return the rate of the first group at each step of a run, in which Lightning would move the schedules."""
    made: Any = task.configure_optimizers()
    if isinstance(made, dict):
        made = [made["optimizer"]], [made["lr_scheduler"]]
    optimizers, configs = made
    return moved_schedules.rates(optimizers, configs, EPOCHS, STEPS)


def rates_by_hand(make: Callable[[Optimizer], Any], interval: int) -> list[float]:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=RATE)
    schedule, found = make(optimizer), []
    for step in range(1, EPOCHS * STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % interval == 0:
            schedule.step()
    return found


def sequence(optimizer: Optimizer) -> Any:
    parts: list[Any] = [
        LinearLR(optimizer, start_factor=0.1, total_iters=20),
        ConstantLR(optimizer, total_iters=40),
        CosineAnnealingLR(optimizer, T_max=40),
    ]
    return SequentialLR(optimizer, parts, milestones=[20, 60])


def chain(optimizer: Optimizer) -> Any:
    return ChainedScheduler([LinearLR(optimizer, total_iters=10), ExponentialLR(optimizer, 0.9)], optimizer)


def warm_up(step: int) -> float:
    """10 of the 100 steps, then 18 of the 20 epochs."""
    if step < 10:
        return RATE * (0.01 + 0.99 * step / 10)
    return RATE * (1 + math.cos(math.pi * (step // STEPS - 2) / 18)) / 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("warmup.yaml", [warm_up(step) for step in range(EPOCHS * STEPS)]),
        ("sequence.yaml", rates_by_hand(sequence, 1)),
        ("chain.yaml", rates_by_hand(chain, STEPS)),
        ("own.yaml", [0.01 * (1 - step // STEPS / EPOCHS) ** 2 for step in range(EPOCHS * STEPS)]),
        ("lambda.yaml", [RATE * 0.5 ** (step // STEPS) for step in range(EPOCHS * STEPS)]),
    ],
)
def test_the_rates_of_a_schedule(name: str, expected: list[float], task_of: Any) -> None:
    assert rates_of(task_of(BLOCKS[name])) == pytest.approx(expected, rel=1e-9)
    assert len(set(expected)) > 10


def test_the_groups(task_of: Any) -> None:
    task = task_of(BLOCKS["groups.yaml"])
    names = {id(parameter): name for name, parameter in task.named_parameters()}
    groups = [
        ([names[id(parameter)] for parameter in group["params"]], group["lr"], group["weight_decay"])
        for group in task.configure_optimizers().param_groups
    ]
    assert groups == [
        (["network.classifier.2.weight"], RATE, 0.1),
        (["network.features.0.weight"], 1e-4, 0.1),
        (["network.features.2.weight", "network.features.2.bias"], 1e-4, 0.0),
        (["network.classifier.2.bias"], RATE, 0.0),
    ]


def test_the_losses(task_of: Any) -> None:
    outputs, targets = torch.randn(6, 10), torch.tensor([0, 2, 2, 9, 5, 6])
    smoothed = task_of(BLOCKS["smoothing.yaml"]).compute_loss(outputs, targets)
    logs = outputs.log_softmax(1)
    by_hand = -(0.9 * logs[range(6), targets] + 0.1 * logs.mean(1)).mean()
    assert smoothed.item() == pytest.approx(by_hand.item(), rel=1e-6)
    focal = task_of(BLOCKS["focal.yaml"]).compute_loss(outputs, targets)
    weights = torch.tensor([1.0, 2, 2, 1, 1, 2])  # of classes 0, 2, 2, 9, 5, 6
    log = logs[range(6), targets]
    by_hand = (weights * -((1 - log.exp()) ** 2) * log).sum() / weights.sum()
    assert focal.item() == pytest.approx(by_hand.item(), rel=1e-6)


class Downloaded(nn.Module):
    """Stands in for a network of timm."""

    num_features = 3

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.options, self.body = options, nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Any:
        return self.body(inputs)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("timm")

    def create_model(model_name, pretrained=False, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        return Downloaded(model_name=model_name, pretrained=pretrained, **kwargs)

    create_model.__module__ = "timm"
    create_model.__qualname__ = "create_model"
    vars(module)["create_model"] = create_model
    monkeypatch.setitem(sys.modules, "timm", module)


def test_a_network_of_timm(task_of: Any, timm: None) -> None:
    network = task_of(BLOCKS["timm.yaml"]).network
    assert network.backbone.options == {"model_name": "resnet18", "pretrained": True}
    assert (network.head.in_features, network.head.out_features) == (3, 10)
    inputs = torch.randn(2, 5)
    assert torch.equal(network(inputs), network.head(network.backbone.body(inputs)))


def test_a_pretrained_network(task_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = resnet18()
    weights = trained.state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *_, **__: copy.deepcopy(weights))
    task = task_of(BLOCKS["pretrained.yaml"])
    own = task.network.backbone.state_dict()
    assert own.keys() == {name for name in weights if not name.startswith("fc.")}
    assert all(torch.equal(own[name], weights[name]) for name in own)
    trained.fc = task.network.head
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(task.network.eval()(images), trained.eval()(images))
    assert task.backbone is task.network.backbone


@pytest.mark.filterwarnings("ignore:The provided params")  # Lightning trains batch norm from the beginning
def test_the_head_comes_first(command: Command, fashion_mnist: Path, workspace: Path) -> None:
    overlay = yaml.safe_load(BLOCKS["finetuning.yaml"])
    overlay["trainer"] |= {"max_epochs": 3, "log_every_n_steps": 1, "enable_progress_bar": False, "logger": False}
    body = yaml.safe_load(BASE)["model"]["init_args"]["network"]
    overlay["model"]["init_args"]["network"]["init_args"]["backbone"]["init_args"]["network"] = body
    (workspace / "a.yaml").write_text(yaml.safe_dump(merged(yaml.safe_load(BASE), overlay)))
    options = ("--data.data_dir", fashion_mnist, "--callbacks.figures=null", "--callbacks.checkpoint.every_n_steps=1")
    assert command("fit", "--config", "a.yaml", *options).status == 0
    saved = [
        torch.load(path, weights_only=True)["optimizer_states"][0]["param_groups"]
        for path in sorted(workspace.glob("lightning_logs/*/version_0/checkpoints/last.ckpt"))
    ]
    assert [len(groups) for groups in saved] == [2]


def test_every_overlay_is_tried() -> None:
    text = Path(__file__).read_text()
    assert [name for name in BLOCKS if f'"{name}"' not in text] == []
    assert len(BLOCKS) > 10

"""Functions stand wherever a class may: with `init_args`, without annotations."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import yaml

from conftest import Command
from lightning_template import load_config

MODULE = """
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def sgd(parameters, lr, momentum=0.5):
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum)


def annotated(parameters, lr: float = 0.25) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def number(parameters) -> int:
    return 1


def nothing(parameters):
    pass


def falling(optimizer, total_steps, power=1.0):
    return LambdaLR(optimizer, lambda step: (1 - step / total_steps) ** power)


def net(width, **options):
    chosen = {"bias": True, **options}
    return nn.Sequential(nn.Linear(1, width), nn.Linear(width, 1, **chosen))


class Ramp(torch.optim.lr_scheduler.LinearLR):
    def __init__(self, optimizer, scale=1.0, **kwargs):
        super().__init__(optimizer, **kwargs)


class Maker:
    @staticmethod
    def net(width=3):
        return net(width)
"""
HUB = """
dependencies = ["torch"]


def small(pretrained=False, width=2):
    import torch

    made = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Linear(width, 1))
    made.pretrained = pretrained
    return made
"""


def config(**options: Any) -> dict[str, Any]:
    arguments = {
        "network": {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}},
        "loss": "torch.nn.MSELoss",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}},
    }
    return {
        "trainer": {"max_epochs": 1, "num_sanity_val_steps": 0, "enable_progress_bar": False, "logger": False},
        "model": {"class_path": "lightning_template.tasks.RegressionTask", "init_args": arguments | options},
        "data": {"class_path": "lightning_template.datamodules.LineDataModule"},
    }


@pytest.fixture(autouse=True)
def modules(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(workspace)
    (workspace / "functions.py").write_text(MODULE)
    (workspace / "hub").mkdir()
    (workspace / "hub" / "hubconf.py").write_text(HUB)
    monkeypatch.setenv("TORCH_HOME", str(workspace / "torch"))


def task(**options: Any) -> Any:
    Path("a.yaml").write_text(yaml.safe_dump(config(**options)))
    return load_config("a.yaml")[0]


def of(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


@pytest.mark.parametrize(
    ("optimizer", "lr", "momentum"),
    [
        (of("functions.sgd", lr=0.125), 0.125, 0.5),
        (of("functions.sgd", lr=0.125, momentum=0.75), 0.125, 0.75),
        (of("functions.annotated", lr=0.125), 0.125, 0),
        ("functions.annotated", 0.25, 0),
    ],
)
def test_an_optimizer(optimizer: Any, lr: float, momentum: float) -> None:
    (group,) = task(optimizer=optimizer).configure_optimizers().param_groups
    assert (group["lr"], group["momentum"]) == (lr, momentum)


@pytest.mark.parametrize(("arguments", "total"), [({}, 4), ({"total_iters": 0.5}, 2), ({"total_iters": 3}, 3)])
def test_a_schedule_that_hands_its_arguments_on(
    arguments: dict[str, Any], total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task(lr_scheduler=of("functions.Ramp", scale=2.0, **arguments))
    monkeypatch.setattr(type(made), "trainer", type("Trainer", (), {"max_epochs": 4}))
    assert made.configure_optimizers()["lr_scheduler"]["scheduler"].total_iters == total


def test_arguments_come_after_a_function_on_the_command_line(command: Command) -> None:
    Path("a.yaml").write_text(yaml.safe_dump(config()))
    options = ("--model.optimizer", "functions.sgd", "--model.optimizer.lr", "0.125", "--print_config")
    printed = yaml.safe_load(command("fit", "--config", "a.yaml", *options).out)
    assert printed["model"]["init_args"]["optimizer"] == of("functions.sgd", lr=0.125, momentum=0.5)


def test_a_schedule_and_its_length(command: Command) -> None:
    Path("a.yaml").write_text(yaml.safe_dump(config(lr_scheduler=of("functions.falling", power=2))))
    options = ("--trainer.max_epochs=4", "--callbacks.figures=null")
    assert command("fit", "--config", "a.yaml", *options).status == 0
    (run,) = Path("lightning_logs").glob("*/version_0")
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["optimizer_states"][0]["param_groups"][0]["lr"] == 0.0
    kept = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["lr_scheduler"]
    assert kept == of("functions.falling", total_steps=None, power=2)
    assert command("fit", "--ckpt_path", run, "--trainer.max_epochs=5").status == 0  # it can be read again


@pytest.mark.parametrize(
    ("network", "width", "bias"),
    [
        (of("functions.net", width=4), 4, True),
        (of("functions.net", width=4, bias=False), 4, False),
        (of("functions.net", width=4) | {"dict_kwargs": {"bias": False}}, 4, False),
        ("functions.Maker.net", 3, True),
        (of("torch.hub.load", repo_or_dir="hub", model="small", source="local", width=5), 5, True),
    ],
)
def test_a_network(network: Any, width: int, bias: bool) -> None:
    made: Any = task(network=network).network
    assert made[0].out_features == width
    assert (made[1].bias is not None) == bias


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": of("functions.sgd", lr=1, momentun=0)},
            "`model.optimizer.momentun` is not an option of functions",
        ),
        ({"optimizer": "functions.number"}, "Expected 'functions.number' to be a function that returns"),
        ({"optimizer": of("functions.number")}, "Expected 'functions.number' to be a function that returns Optimizer"),
        ({"optimizer": of("functions.sgdd")}, "no sgdd in functions, did you mean sgd?"),
        ({"optimizer": of("functions.sgd")}, "functions.sgd needs lr"),
        ({"optimizer": "functions.nothing"}, "`optimizer` must make a torch.optim.Optimizer, got NoneType"),
        ({"optimizer": of("functions.sgd", lr=-1)}, "`optimizer.lr` must be finite and at least 0, got -1"),
        (
            {"network": of("torchvision.models.resnet18", num_clases=2)},
            "`model.network.num_clases` is not an option of torchvision.models.resnet18",
        ),
        (
            {"network": of("torchvision.models.resnet18", weights="BEST")},
            "Expected a member of <enum 'ResNet18",
        ),
        (
            {"optimizer_groups": {"network.heavy": {"lr": 1}}},
            "no trained parameter is named network.heavy, did",
        ),
    ],
)
def test_a_mistake_is_one_line_before_there_is_a_run(options: Any, message: str, command: Command) -> None:
    Path("a.yaml").write_text(yaml.safe_dump(config(**options)))
    result = command("fit", "--config", "a.yaml")
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert not Path("lightning_logs").exists()


def test_a_download_without_a_connection_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError("no such host")

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    Path("a.yaml").write_text(yaml.safe_dump(config(network=of("torchvision.models.resnet18", weights="DEFAULT"))))
    result = command("fit", "--config", "a.yaml")
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert "torchvision.models.resnet18 could not download: no such host; is there a network connection?" in result.err
    assert not Path("lightning_logs").exists()

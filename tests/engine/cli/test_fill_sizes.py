"""Sizes that a configuration lacks, taken from the data."""

import textwrap
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import dict_to_namespace

from conftest import ROOT, Command
from lightning_template.datamodules import FashionMNISTDataModule, InMemoryDataModule
from lightning_template.engine.cli.fill_sizes import fill_sizes
from lightning_template.engine.sizes import DataSizes
from lightning_template.load import load_config

NETS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lightning.pytorch import LightningDataModule, LightningModule
from lightning_template.datamodules import InMemoryDataModule
from lightning_template.tasks import ClassificationTask

class Net(nn.Module):
    def __init__(self, in_features: int, n_classes: int, width: int = 3):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.Linear(width, n_classes))
    def forward(self, inputs):
        return self.layers(inputs)

class Untyped(Net):
    def __init__(self, in_features, n_classes):
        super().__init__(in_features, n_classes)

def make(input_dim: int, output_dim: int) -> Net:
    return Net(input_dim, output_dim)

def make_untyped(in_features, out_features, width=4):
    return Net(in_features, out_features, width)

class Lookup(nn.Module):
    def __init__(self, vocab_size: int, num_classes: int):
        super().__init__()
        self.table = nn.Embedding(vocab_size, num_classes)
    def forward(self, tokens):
        return self.table(tokens).mean(1)

class Optional(nn.Module):
    def __init__(self, num_tokens: int | None = None): ...

class Wrapped(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
    def forward(self, inputs):
        return self.network(inputs)

class Lit(LightningModule):
    def __init__(self, in_features: int, num_classes: int):
        super().__init__()
        self.network = Net(in_features, num_classes)
    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Pair(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()

class Layers(nn.Module):
    def __init__(self, layers: list[nn.Module]):
        super().__init__()

class Embedded(ClassificationTask):
    "Doubles its inputs, so that its network has more of them than the data."
    def forward(self, inputs):
        return self.network(torch.cat([inputs, inputs], 1))

class Rows(InMemoryDataModule):
    loads = 0
    def load(self):
        Rows.loads += 1
        inputs = torch.arange(390.).view(30, 13).sin()
        return (inputs, torch.arange(30) % 3), None

class RandomRows(Rows):
    def load(self):
        (inputs, targets), _ = super().load()
        return (inputs + torch.rand(1), targets), None

class Tokens(InMemoryDataModule):
    vocab_size = 20
    def load(self):
        return (torch.arange(300).view(60, 5) % 20, torch.arange(60) % 4), None

class Plain(LightningDataModule):
    made = 0
    def __init__(self, workers: int = 0):
        super().__init__()
        type(self).made += 1
        self.workers = workers
    def setup(self, stage):
        inputs = torch.arange(390.).view(30, 13).sin()
        self.data = TensorDataset(inputs, torch.arange(30) % 3)
    def train_dataloader(self):
        return DataLoader(self.data, 2, shuffle=True, num_workers=self.workers)
    def val_dataloader(self):
        return DataLoader(self.data, 2)

class Needy(Plain):
    def __init__(self, batch_size: int):
        super().__init__()
    def train_dataloader(self):
        return DataLoader(self.data, 2 * self.trainer.world_size)
"""

QUICK: dict[str, Any] = {
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1, "enable_model_summary": False},
    "callbacks": dict.fromkeys(("dashboard", "figures", "monitor", "progress_bar", "executions")),
}


@pytest.fixture
def nets(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("nets.py").write_text(textwrap.dedent(NETS))
    monkeypatch.syspath_prepend(workspace)
    invalidate_caches()


def write(
    network: Any, data: str = "nets.Rows", task: str = "lightning_template.tasks.ClassificationTask", **arguments: Any
) -> Path:
    """Write a configuration of a network, by its class or as YAML, and return its path."""
    arguments = {"network": network, "loss": "torch.nn.CrossEntropyLoss", **arguments}
    config = {
        "model": {"class_path": task, "init_args": arguments | {"optimizer": {"class_path": "torch.optim.SGD"}}},
        "data": {"class_path": data, "init_args": {"batch_size": 8}} if data != "nets.Plain" else {"class_path": data},
        **QUICK,
    }
    Path("sized.yaml").write_text(yaml.safe_dump(config))
    return Path("sized.yaml")


def network_of(config: Path | str) -> Any:
    return load_config(config)[0].network


def named(class_path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": arguments}


SHIPPED = sorted(
    path
    for folder in ("configs/fashion_mnist", "configs/line", "examples")
    for path in (ROOT / folder).glob("*.yaml")
    if "lightning_template.datamodules" in path.read_text()
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_configuration_has_sizes(path: Path) -> None:
    words = ("num_classes", "in_features", "out_features", "in_channels", "image_size", "num_targets")
    assert [word for word in words if word in path.read_text()] == []
    # FashionMNIST is not read: its datamodule knows its sizes.
    shapes = [weight.shape for weight in network_of(path).parameters()]
    inputs, outputs = ((1, 784), 10) if "fashion" in str(path) else ((1,), 1)
    assert shapes[0][1] in inputs
    assert shapes[-1] == (outputs,)


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("nets.Net", (3, 13)),
        ("nets.Untyped", (3, 13)),
        ("nets.make", (3, 13)),
        ("nets.make_untyped", (4, 13)),
        (named("nets.Wrapped", network=named("nets.Wrapped", network="nets.Net")), (3, 13)),
        (named("nets.Net", n_classes=5, width=7), (7, 13)),
        (named("lightning_template.networks.MLP", hidden_features=[4]), (4, 13)),
    ],
    ids=str,
)
@pytest.mark.parametrize("data", ["nets.Rows", "nets.Plain"])
def test_what_a_network_lacks_is_taken_from_the_data(network: Any, shape: tuple[int, int], data: str) -> None:
    num_classes = network["init_args"].get("n_classes", 3) if isinstance(network, dict) else 3
    given: dict[str, Any] = {"num_classes": 5} if num_classes == 5 else {}
    task: Any = load_config(write(network, data, **given))[0]
    weights = [*task.network.parameters()]
    assert weights[0].shape == shape
    assert weights[-1].shape == (num_classes,)
    assert task.num_classes == num_classes


@pytest.mark.usefixtures("nets")
def test_the_same_attribute_of_the_data_gives_any_other_size() -> None:
    assert network_of(write("nets.Lookup", "nets.Tokens")).table.weight.shape == (20, 4)


def write_images(folder: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    for number in range(4 * 3):
        path = folder / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), number * 20, dtype=np.uint8)).save(path)


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("torchvision.models.resnet18", (64, 3, 7, 7), (3,)),
        (named("lightning_template.networks.WithInputChannels", network="torchvision.models.resnet18"), None, (3,)),
        (named("torchvision.models.resnet18", num_classes=7), (64, 3, 7, 7), (7,)),
        (
            named(
                "lightning_template.networks.WithHead",
                backbone=named("lightning_template.networks.WithInputChannels", network="torchvision.models.resnet18"),
            ),
            (64, 3, 7, 7),
            (3,),
        ),
        (named("lightning_template.networks.ConvNet", channels=[4]), (4, 3, 3, 3), (3,)),
        pytest.param(named("torchvision.models.vit_b_16", image_size=32), None, (3,), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_networks_for_images(network: Any, first: tuple[int, ...] | None, last: tuple[int]) -> None:
    write_images(Path("images"), (32, 32))
    file = write(network, "lightning_template.datamodules.ImageFolderDataModule")
    config = yaml.safe_load(file.read_text())
    config["data"]["init_args"] |= {"data_dir": "images", "image_size": 32}
    if last == (7,):
        config["model"]["init_args"]["num_classes"] = 7
    file.write_text(yaml.safe_dump(config))
    weights = [*network_of(file).parameters()]
    assert first is None or weights[0].shape == first
    assert weights[-1].shape == last


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("network", "option"),
    [
        (
            named("nets.Pair", encoder="nets.Net", head="nets.Net"),
            "encoder.init_args.in_features",
        ),
        (named("nets.Layers", layers=["torch.nn.Linear"]), "layers.0.init_args.in_features"),
        ("nets.Lookup", "vocab_size"),
    ],
    ids=str,
)
def test_what_nobody_knows_is_one_line(network: Any, option: str, command: Command) -> None:
    result = command("fit", "--config", write(network))
    message = f"lightning-template: error: `model.network.init_args.{option}` is missing, and the data do not tell it\n"
    assert (result.status, result.err) == (2, message)
    assert not Path("lightning_logs").exists()


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("data", ["Rows", "RandomRows", pytest.param("Plain", marks=pytest.mark.slow)])
def test_a_run_is_the_same_whether_a_size_is_given_or_not(data: str, command: Command) -> None:
    nets: Any = import_module("nets")

    given = write(named("nets.Net", in_features=13, n_classes=3), f"nets.{data}", num_classes=3).rename("given.yaml")
    lacking = write("nets.Net", f"nets.{data}")
    for config in (given, lacking):
        nets.Rows.loads, nets.Plain.made = 0, 0
        assert command("fit", "--config", config, "--experiment", config.stem).status == 0
        assert nets.Rows.loads == {"Rows": 1, "Plain": 0}.get(data, 1 + (config == lacking))
        assert nets.Plain.made == (data == "Plain") * (1 + (config == lacking))
    runs = [Path("lightning_logs", config.stem, "version_0") for config in (given, lacking)]
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    one, other = (yaml.safe_load((run / "config.yaml").read_text()) for run in runs)
    assert one.pop("experiment") != other.pop("experiment")
    assert one == other


@pytest.mark.usefixtures("nets")
def test_a_run_that_goes_on_does_not_ask_the_data(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write("nets.Net", num_classes=4)
    assert command("fit", "--config", config).status == 0

    def refuse(self: DataSizes, name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    monkeypatch.setattr(DataSizes, "get", refuse)
    more = ["--trainer.max_epochs=2", "--allow_changes"]
    resumed = command("fit", "--config", config, "--ckpt_path", "last", *more)
    assert resumed.status == 0, resumed.err
    assert command("validate", "--config", config, "--ckpt_path", "best").status == 0
    assert command("test", "--ckpt_path", "lightning_logs/sized/version_0").status == 0
    with pytest.raises(AssertionError, match="was asked for"):
        load_config(config)


WRONG = {
    "in_features": (named("nets.Net", in_features=4), {}, "13 inputs, `model.network.init_args.in_features` is 4"),
    "out_features": (
        named("lightning_template.networks.MLP", hidden_features=[], out_features=2),
        {},
        "3 classes, `model.network.init_args.out_features` is 2",
    ),
    "num_classes": ("nets.Net", {"num_classes": 2}, "3 classes, `model.num_classes` is 2"),
    "n_classes": (named("nets.Net", n_classes=5), {}, "3 classes, `model.network.init_args.n_classes` is 5"),
}


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(("network", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_size_is_one_line_that_names_both(
    network: Any, arguments: dict[str, Any], message: str, command: Command
) -> None:
    result = command("fit", "--config", write(network, **arguments))
    assert (result.status, result.err) == (2, f"lightning-template: error: the data have {message}\n")
    assert not Path("lightning_logs").exists()


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("network", "task", "arguments"),
    [
        (named("nets.Net", in_features=26), "nets.Embedded", {}),
        (named("nets.Net", n_classes=9), "lightning_template.tasks.ClassificationTask", {"num_classes": 9}),
    ],
)
def test_what_runs_is_not_refused(network: Any, task: str, arguments: dict[str, Any], command: Command) -> None:
    result = command("fit", "--config", write(network, task=task, **arguments))
    assert result.status == 0, result.err


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, (10, 1000)), ({"out_features": 4}, (4, 1000)), ({"weights": "DEFAULT"}, (10, 1000))],
)
def test_the_last_word_is_the_wrappers(given: dict[str, Any], expected: tuple[int, int]) -> None:
    inner: dict[str, Any] = {
        "class_path": "torchvision.models.resnet18",
        "init_args": {"num_classes": 1000, "weights": None},
    }
    if "weights" in given:
        inner["init_args"] |= given
        given = {}
    head = {"out_features": None, "backbone": inner} | given
    model = {"network": {"class_path": "lightning_template.networks.WithHead", "init_args": head}, "num_classes": None}
    config = dict_to_namespace(
        {"model": {"class_path": "lightning_template.tasks.ClassificationTask", "init_args": model}}
    )
    fill_sizes(config, FashionMNISTDataModule)
    network = config.model.init_args.network
    assert (network.init_args.out_features, network.init_args.backbone.init_args.num_classes) == expected


class TwoClasses(InMemoryDataModule):
    def load(self) -> Any:
        return (torch.rand(8, 3), torch.arange(8) % 2), None


@pytest.mark.parametrize(("loss", "expected"), [("BCEWithLogitsLoss", 1), ("CrossEntropyLoss", 2)])
def test_two_classes_have_as_many_outputs_as_their_loss_takes(loss: str, expected: int) -> None:
    network = {"class_path": "torch.nn.Linear", "init_args": {"in_features": None, "out_features": None}}
    model = {"num_classes": None, "network": network, "loss": {"class_path": f"torch.nn.{loss}"}}
    config = dict_to_namespace(
        {"model": {"class_path": "lightning_template.tasks.ClassificationTask", "init_args": model}}
    )
    fill_sizes(config, TwoClasses)
    assert vars(config.model.init_args.network.init_args) == {"in_features": 3, "out_features": expected}


def test_without_data_nothing_is_filled_in() -> None:
    loss = {"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"weight": "balanced"}}
    for given, message in (({}, "`model.num_classes` is missing"), ({"num_classes": 3}, "and there is none")):
        model: dict[str, Any] = {"class_path": "lightning_template.tasks.ClassificationTask"}
        config = dict_to_namespace({"model": model | {"init_args": {"num_classes": None, "loss": loss} | given}})
        with pytest.raises(ValueError, match=message):
            fill_sizes(config, None)


@pytest.mark.usefixtures("nets")
def test_loaders_that_need_a_trainer_are_one_line(command: Command) -> None:
    result = command("fit", "--config", write("nets.Net", "nets.Needy"))
    missing = "`model.num_classes` is missing, and no sample could be looked at"
    assert result.status == 2
    assert f"{missing}: AttributeError: 'NoneType' object has no attribute 'world_size'" in result.err
    assert (
        command(
            "fit", "--config", write(named("nets.Net", in_features=13, n_classes=3), "nets.Needy", num_classes=3)
        ).status
        == 0
    )


@pytest.mark.parametrize(
    ("class_path", "is_asked"), [("nets.Optional", False), pytest.param("nets.Net", True, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("nets")
def test_an_optional_size_that_a_run_did_not_have_is_not_asked_for(class_path: str, is_asked: bool) -> None:
    network: dict[str, Any] = {"class_path": "nets.Optional", "init_args": {"num_tokens": None}}
    model: dict[str, Any] = {"class_path": "nets.Wrapped", "init_args": {"network": network}}
    asked = []
    fill_sizes(
        dict_to_namespace({"model": model}),
        lambda: asked.append(1) or FashionMNISTDataModule(),  # type: ignore[func-returns-value]
        {"model": model | {"init_args": {"network": network | {"class_path": class_path}}}},
    )
    assert bool(asked) == is_asked


@pytest.mark.usefixtures("nets")
def test_the_printed_configuration_can_be_used(command: Command) -> None:
    printed = command("fit", "--config", write("nets.Net"), "--print_config")
    Path("printed.yaml").write_text(printed.out)
    assert yaml.safe_load(printed.out)["model"]["init_args"]["network"]["init_args"]["in_features"] is None
    assert network_of("printed.yaml").layers[0].in_features == 13


@pytest.mark.usefixtures("nets")
def test_sizes_of_a_foreign_module(command: Command) -> None:
    Path("lit.yaml").write_text(yaml.safe_dump({"model": "nets.Lit", "data": "nets.Plain", **QUICK}))
    result = command("fit", "--config", "lit.yaml")
    assert result.status == 0, result.err
    saved = yaml.safe_load(Path("lightning_logs/lit/version_0/config.yaml").read_text())
    assert saved["model"]["init_args"] == {"in_features": 13, "num_classes": 3}
    result = command("fit", "--config", "lit.yaml", "--model.in_features=4")
    assert result.status == 1
    assert "the data have 13 inputs, `model.in_features` is 4" in result.err

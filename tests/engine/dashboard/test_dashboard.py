"""What TensorBoard reads of a run, with its own reader."""

import platform
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

import foreign
from conftest import ROOT, Command
from fitting import fit
from foreign import Foreign
from lightning_template.callbacks import BestAndLast, Dashboard, RunDirectory
from lightning_template.engine.dashboard import dashboard

NO_WORKERS = pytest.mark.filterwarnings("ignore:.*does not have many workers")

CNN = ["fit", f"--config={ROOT / 'configs/fashion_mnist/cnn.yaml'}", "--trainer.max_epochs=2"]
CNN += ["--data.batch_size=16", "--data.val_fraction=0.2", "--callbacks.figures.every_n_epochs=1"]
LINE = ["fit", f"--config={ROOT / 'configs/line/adam.yaml'}", "--trainer.max_epochs=2", "--data.val_fraction=0.2"]


def read(experiment: str) -> EventAccumulator:
    events = EventAccumulator(f"lightning_logs/{experiment}/version_0", size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def hyper_parameters(events: EventAccumulator) -> dict[str, Any]:
    """Return what a run adds to the columns of the HPARAMS tab."""
    found = {
        tag: HParamsPluginData.FromString(content) for tag, content in events.PluginTagToContent("hparams").items()
    }
    assert "_hparams_/experiment" not in found  # TensorBoard would give all runs the columns of this one alone
    values = found["_hparams_/session_start_info"].session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_every_part_of_the_dashboard_has_content(command: Command, fashion_mnist: Path) -> None:
    assert command(*CNN, f"--data.data_dir={fashion_mnist}", "--test_after_fit").status == 0
    events = read("fashion_mnist_cnn")
    tags = events.Tags()
    assert set(tags["images"]) == {
        "classes/accuracy",
        "classes/calibration",
        "classes/confusion matrix",
        "first layer",
        "data",
        "images/samples",
        "images/worst mistakes",
    }
    assert {"command/text_summary", "config/text_summary", "custom_scalars__config__"} <= set(tags["tensors"])
    assert "precision and recall/Bag" in tags["tensors"]
    assert tags["graph"]
    values = hyper_parameters(events)
    assert values["model.network"] == "ConvNet"
    assert values["model.optimizer"] == "AdamW"
    assert values["data.batch_size"] == 16
    assert values["data.normalize"] == "true"
    for name in ("optimizer/lr", "optimizer/gradient_norm", "speed/samples_per_second", "memory/process_mb"):
        steps = [event.step for event in events.Scalars(name)]
        assert steps == sorted(set(steps)), name
    curves = {
        name: [event.value for event in events.Scalars(f"val/{name}")]
        for name in ("loss", "accuracy", "f1", "precision", "recall")
    }
    best = curves["accuracy"].index(max(curves["accuracy"]))
    for name, values_of_epochs in curves.items():
        assert events.Scalars(f"best/val/{name}")[-1].value == values_of_epochs[best], name


def test_a_regression_has_its_figure_and_its_loss_begins_at_the_first_step(command: Command) -> None:
    assert command(*LINE, "--data.batch_size=16", "--trainer.log_every_n_steps=4").status == 0
    events = read("line_adam")
    assert events.Tags()["images"] == ["data", "regression"]
    assert [event.step for event in events.Scalars("train/loss_step")] == [0, 3, 7]
    assert [event.step for event in events.Scalars("optimizer/lr")] == [0, 3, 7]
    first = events.Scalars("train/loss_step")[0].value
    assert first > events.Scalars("train/loss_step")[-1].value > 0
    assert events.Scalars("optimizer/gradient_norm")[0].value > 0


def test_a_line_without_validation_shows_how_far_it_is_from_the_truth(command: Command) -> None:
    assert command("fit", "--config", ROOT / "configs" / "line" / "ols.yaml", "--trainer.max_epochs=4").status == 0
    events = read("line_ols")
    assert [image.step for image in events.Images("regression")] == [4]
    checkpoint = torch.load("lightning_logs/line_ols/version_0/checkpoints/last.ckpt", weights_only=True)
    weight, bias = (tensor.item() for tensor in checkpoint["state_dict"].values())
    assert events.Scalars("train/slope_error")[0].value == pytest.approx(weight - 3, abs=1e-5)
    assert events.Scalars("train/intercept_error")[0].value == pytest.approx(bias - 2, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_the_gradient_norm_and_first_loss_are_those_of_a_plain_loop(command: Command) -> None:
    from lightning_template.datamodules import LineDataModule

    args = [*LINE, "--trainer.max_epochs=1", "--model.optimizer.lr=0", "--data.val_fraction=0"]
    assert command(*args, "--trainer.log_every_n_steps=7").status == 0
    data = LineDataModule(val_fraction=0.0)
    data.setup("fit")
    assert data.train_set is not None
    checkpoint = torch.load("lightning_logs/line_adam/version_0/checkpoints/last.ckpt", weights_only=True)
    layer = torch.nn.Linear(1, 1)
    layer.load_state_dict(dict(zip(layer.state_dict(), checkpoint["state_dict"].values(), strict=True)))
    loss = torch.nn.functional.mse_loss(layer(data.train_set.inputs), data.train_set.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.stack([weight.grad.norm() for weight in layer.parameters() if weight.grad is not None]).norm()
    events = read("line_adam")
    assert events.Scalars("optimizer/gradient_norm")[0].value == pytest.approx(norm.item(), rel=1e-5)
    assert events.Scalars("train/loss_step")[0].value == pytest.approx(loss.item(), rel=1e-5)


def test_a_resumed_run_goes_on_with_its_curves(command: Command) -> None:
    assert command(*LINE, "--callbacks.figures.every_n_epochs=1").status == 0
    run = "lightning_logs/line_adam/version_0"
    assert command("fit", "--ckpt_path", run, "--trainer.max_epochs=4").status == 0
    events = read("line_adam")
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == sorted(steps if tag == "epoch" else set(steps)), tag  # Lightning's own comes with each log
    assert len(events.Scalars("best/val/loss")) == 4
    assert len(events.Images("regression")) == 4


def test_each_callback_can_be_switched_off(command: Command, fashion_mnist: Path) -> None:
    options = [f"--callbacks.{name}=null" for name in ("figures", "dashboard", "monitor")]
    assert command(*CNN, f"--data.data_dir={fashion_mnist}", "--trainer.max_epochs=1", *options).status == 0
    tags = read("fashion_mnist_cnn").Tags()
    assert tags["images"] == tags["tensors"] == []
    assert {tag.split("/")[0] for tag in tags["scalars"]} == {"epoch", "train", "val"}


def test_the_projector_shows_features(command: Command, fashion_mnist: Path) -> None:
    args = [f"--data.data_dir={fashion_mnist}", "--trainer.max_epochs=1", "--callbacks.figures.num_projected=7"]
    assert command(*CNN, *args).status == 0
    run = Path("lightning_logs/fashion_mnist_cnn/version_0")
    (metadata,) = run.rglob("metadata.tsv")
    assert len(metadata.read_text().splitlines()) == 7
    assert (metadata.parent / "sprite.png").is_file()
    assert len((metadata.parent / "tensors.tsv").read_text().splitlines()) == 7


def test_hyper_parameters_are_those_that_people_compare() -> None:
    config = {
        "seed_everything": 1,
        "experiment": "a",
        "trainer": {"max_epochs": 3, "enable_progress_bar": True, "precision": None},
        "model": {"class_path": "a.b.Task", "init_args": {"loss": {"class_path": "torch.nn.MSELoss"}, "lr": 0.1}},
        "data": {"class_path": "a.Data", "init_args": {"data_dir": "/x", "shuffle": True, "sizes": [1, 2]}},
    }
    assert dashboard.hyper_parameters(config) == {
        "seed_everything": 1,
        "trainer.max_epochs": 3,
        "model": "Task",
        "model.loss": "MSELoss",
        "model.lr": 0.1,
        "data": "Data",
        "data.shuffle": "true",
        "data.sizes": "1, 2",
    }


class Worse(foreign.Foreign):
    """Gets worse in its second epoch, and has no number in its third."""

    monitor, mode = "val/score", "max"
    of_epochs = (0.5, 0.25, float("nan"), 0.75)

    def __init__(self, sign: int = 1) -> None:
        super().__init__()
        self.sign = sign

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.log("train/score", 9.0)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        epoch = self.current_epoch
        self.log("val/score", 99.0 if self.trainer.sanity_checking else self.sign * self.of_epochs[epoch])
        self.log("val/other", float(epoch))


class Lower(Worse):
    mode = "min"


def values_of(events: EventAccumulator, tag: str) -> list[float]:
    return [event.value for event in events.Scalars(tag)]


@pytest.mark.parametrize("keeper", [None, BestAndLast(monitor=None)], ids=["checkpoint", "the task's"])
@pytest.mark.parametrize(("module", "sign"), [(Worse, 1), (Lower, -1)])
@NO_WORKERS
def test_hparams_have_the_metrics_of_the_best_epoch(
    module: type[Worse], sign: int, keeper: BestAndLast | None, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if keeper is not None:  # a run without one watches what the task does
        monkeypatch.setattr(dashboard, "BestAndLast", type(None))
    events = fit(module(sign), foreign.Data(), Dashboard(graph=False), max_epochs=4)
    assert values_of(events, "best/val/score") == [sign * score for score in (0.5, 0.5, 0.5, 0.75)]
    assert values_of(events, "best/val/other") == [0, 0, 0, 3]
    assert len(events.Tensors("custom_scalars__config__")) == 1  # the layout is logged once
    assert [event.step for event in events.Scalars("best/val/other")] == [2, 5, 8, 11]
    assert {tag for tag in events.Tags()["scalars"] if tag.startswith("best/")} == {"best/val/score", "best/val/other"}


@NO_WORKERS
def test_a_number_that_is_none_is_never_the_best(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worse, "of_epochs", (float("nan"), 0.5, float("inf")))
    events = fit(Worse(), foreign.Data(), Dashboard(graph=False), max_epochs=3)
    assert values_of(events, "best/val/score") == [0.5, 0.5]


@NO_WORKERS
def test_what_is_not_watched_has_no_best(workspace: Path) -> None:
    events = fit(Worse(), foreign.Data(), Dashboard(graph=False), keeper=BestAndLast(monitor=None))
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("best/")]


@NO_WORKERS
def test_the_best_of_a_checkpoint_is_compared_with_what_comes(workspace: Path) -> None:
    fit(Worse(), foreign.Data(), Dashboard(graph=False), max_epochs=1)
    last = Path("lightning_logs/run/version_0/checkpoints/last.ckpt")
    events = fit(Worse(), foreign.Data(), Dashboard(graph=False), ckpt_path=last)
    assert values_of(events, "best/val/score") == [0.5]
    assert values_of(events, "val/score") == [0.25]


@pytest.mark.parametrize("kind", ["pair", "alone"])
@NO_WORKERS
def test_the_graph_is_of_one_sample_and_drawn_once(kind: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def keep(writer: object, module: object, inputs: Tensor) -> None:
        drawn.append(inputs)

    monkeypatch.setattr(SummaryWriter, "add_graph", keep)
    fit(Foreign(), foreign.Data(kind), Dashboard())
    (inputs,) = drawn
    torch.testing.assert_close(inputs, torch.arange(4.0).view(1, 4))
    fit(Foreign(), foreign.Data(kind), Dashboard(graph=False))
    assert len(drawn) == 1
    last = Path("lightning_logs/run/version_0/checkpoints/last.ckpt")
    fit(Foreign(), foreign.Data(kind), Dashboard(), max_epochs=3, ckpt_path=last)
    assert len(drawn) == 1  # the run shows it already


@NO_WORKERS
def test_a_graph_has_the_networks_operations(workspace: Path) -> None:
    for graph in (True, False):
        events = fit(Foreign(), foreign.Data(), Dashboard(graph=graph), max_epochs=1)
        assert events.Tags()["graph"] == graph
        if graph:
            assert any("layer" in node.name for node in GraphDef.FromString(events.Graph().SerializeToString()).node)


@NO_WORKERS
def test_a_network_that_cannot_be_followed_has_no_graph(
    workspace: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    events = fit(foreign.NoForward(), foreign.Data(), Dashboard(), max_epochs=1)
    assert not events.Tags()["graph"]
    assert capsys.readouterr().out == ""
    (line,) = [message for message in caplog.messages if message.startswith("left out")]
    assert line.startswith("left out from here on: the network's graph: NotImplementedError: ")


def test_charts_join_training_and_validation() -> None:
    names = ["val/loss", "train/loss", "train/loss_step", "val/mae", "other"]
    assert dashboard._charts(names) == {
        "learning": {
            "loss": ["Multiline", ["train/loss$", "val/loss$"]],
            "mae": ["Multiline", ["(train|training|trn)/mae(_epoch)?$", "val/mae$"]],
            "other": ["Multiline", ["other$"]],
        },
        "optimizer": {
            "learning rate": ["Multiline", ["optimizer/lr"]],
            "gradient norm": ["Multiline", ["optimizer/gradient_norm"]],
        },
        "machine": {
            "samples a second": ["Multiline", ["speed/samples_per_second"]],
            "memory, MB": ["Multiline", ["memory/.*"]],
        },
    }


@NO_WORKERS
def test_texts_are_those_of_the_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit", "--config", "a b.yaml"])
    files = {"config.yaml": "model: a\ndata: b\n", "overrides.yaml": "data: b\n"}
    monkeypatch.setattr(RunDirectory, "files", property(lambda self: files, lambda self, given: None), raising=False)
    events = fit(Foreign(), foreign.Data(), Dashboard(graph=False), max_epochs=1)
    texts = {
        tag.removesuffix("/text_summary"): events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
        if tag.endswith("/text_summary")
    }
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    environment = texts.pop("environment")
    names = [line.split(":")[0] for line in environment.replace("    ", "", 1).splitlines() if ":" in line]
    assert names[:3] == ["started", "    python", "    platform"]  # in the order of the file
    assert texts == {
        "command": "    lightning-template fit \\\n      --config 'a b.yaml'\n",
        "config": "    model: a\n    data: b\n",
        "overrides": "    data: b\n",
    }
    assert f"    python: {platform.python_version()}\n" in environment
    assert "command" not in environment
    assert hyper_parameters(events) == {"model": "a", "data": "b"}


def test_classes_are_shown_by_their_names_alone() -> None:
    config = {
        "model": {
            "class_path": "a.b.Task",
            "init_args": {"net": {"class_path": "c.Net", "init_args": {"file": "x.y"}}, "on": None, "kinds": {}},
        },
        "trainer": {"precision": "bf16.mixed", "gradient_clip_val": 0.5, "devices": 2},
        "data": {"data_dir": "/x"},
    }
    assert dashboard.hyper_parameters(config) == {
        "model": "Task",
        "model.net": "Net",
        "model.net.file": "x.y",
        "model.kinds": "{}",
        "trainer.precision": "bf16.mixed",
        "trainer.gradient_clip_val": 0.5,
    }


def test_options_of_the_trainer_that_belong_to_a_recipe_are_columns() -> None:
    recipe = [
        "accumulate_grad_batches",
        "gradient_clip_val",
        "limit_train_batches",
        "max_epochs",
        "max_steps",
        "precision",
    ]
    config = {"trainer": dict.fromkeys([*recipe, "devices", "default_root_dir", "log_every_n_steps"], 1)}
    assert dashboard.hyper_parameters(config) == {f"trainer.{name}": 1 for name in recipe}

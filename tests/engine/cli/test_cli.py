"""Training, checkpoints and configuration through the command line."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ProgressBar

from conftest import NUM_TEST, ROOT, Command
from lightning_template.datamodules import FashionMNISTDataModule, LineDataModule
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.networks import ConvNet
from lightning_template.tasks import ClassificationTask, RegressionTask

OFF = ["--callbacks.figures=null", "--callbacks.dashboard=null"]
OLS = ["--config", str(ROOT / "configs/line/ols.yaml"), *OFF]
CNN = ["--config", str(ROOT / "configs/fashion_mnist/cnn.yaml"), "--data.batch_size=16", *OFF]
CNN += ["--trainer.max_epochs=2", "--trainer.log_every_n_steps=1"]
VALIDATED = [*OLS, "--data.val_fraction=0.2", "--trainer.max_epochs=2"]
RUN = Path("lightning_logs/line_ols/version_0")


def metrics(run: Path = RUN) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return loaded


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state


def convnet_of(checkpoint: Path) -> ConvNet:
    """Return the network of a checkpoint, put together without the task."""
    saved = {name.removeprefix("network."): weight for name, weight in weights(checkpoint).items()}
    network = ConvNet(1, [len(weight) for weight in saved.values() if weight.ndim == 4], 10, 28).eval()
    network.load_state_dict(saved)
    return network


def test_fit_finds_the_closed_form_line(command: Command) -> None:
    assert command("fit", *OLS).status == 0
    data = LineDataModule(val_fraction=0.0)
    data.setup("fit")
    assert data.train_set is not None
    x, y = data.train_set.inputs.numpy().ravel(), data.train_set.targets.numpy().ravel()
    slope, intercept = np.polyfit(x.astype(float), y.astype(float), 1)
    found = weights(RUN / "checkpoints" / "last.ckpt")
    assert found["network.1.weight"].item() == pytest.approx(slope, abs=1e-3)
    assert found["network.1.bias"].item() == pytest.approx(intercept, abs=1e-3)
    residuals = y - (slope * x + intercept)
    assert metrics()["final"]["train/mse"] == pytest.approx(np.mean(residuals**2), rel=1e-4)


def test_a_run_directory_holds_what_the_design_says(command: Command, fashion_mnist: Path) -> None:
    result = command("fit", *CNN, "--data.data_dir", fashion_mnist)
    assert result.status == 0, result.err
    run = Path("lightning_logs/fashion_mnist_cnn/version_0")
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert names - events - {".lock"} == {  # filelock 3.21 to 3.29 removes its file
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt", "checkpoints/previous.ckpt"),
        *("config.yaml", "data.json", "digests.json", "environment.json", "state.json"),
        *("hparams.yaml", "metrics.json", "overrides.yaml"),
    }
    assert {"val/accuracy", "val/loss", "train/accuracy", "train/loss"} <= metrics(run)["final"].keys()
    assert metrics(run)["best"]["monitor"] == "val/accuracy"
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["seed"] == "0"
    assert f"run        {run}" in result.out
    assert f"best       val/accuracy {metrics(run)['best']['best_score']:.4f}" in result.out
    assert f"lightning-template test --ckpt_path {run}\n" in result.out
    assert "tensorboard --logdir lightning_logs\n" in result.out


def test_overrides_hold_only_what_differs_from_the_defaults(command: Command) -> None:
    assert (
        command("fit", *OLS[:2], "--data.noise", "0.1", "--data.slope", "3.0", "--trainer.max_epochs", "1").status == 0
    )
    overrides = yaml.safe_load((RUN / "overrides.yaml").read_text())
    assert overrides == {
        "experiment": "line_ols",
        "trainer": {"max_epochs": 1, "log_every_n_steps": 1},
        "model": {
            "class_path": "lightning_template.tasks.RegressionTask",
            "init_args": {
                "network": {
                    "class_path": "lightning_template.networks.MLP",
                    "init_args": {"in_features": 1, "hidden_features": [], "out_features": 1},
                },
                "loss": {"class_path": "torch.nn.MSELoss"},
                "optimizer": {"class_path": "torch.optim.LBFGS", "init_args": {"line_search_fn": "strong_wolfe"}},
            },
        },
        "data": {
            "class_path": "lightning_template.datamodules.LineDataModule",
            "init_args": {"batch_size": 100, "noise": 0.1, "val_fraction": 0.0},
        },
    }


def test_the_saved_config_repeats_the_run(command: Command) -> None:
    assert command("fit", *OLS, "--seed_everything", "3", "--trainer.max_epochs", "1").status == 0
    assert command("fit", "--config", RUN / "config.yaml").status == 0
    again = RUN.with_name("version_1")
    first, second = (weights(run / "checkpoints" / "last.ckpt") for run in (RUN, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert command("fit", "--config", RUN / "config.yaml", "--seed_everything", "4").status == 0
    other = weights(RUN.with_name("version_2") / "checkpoints" / "last.ckpt")
    assert not any(torch.equal(first[name], other[name]) for name in first)
    assert (RUN / "config.yaml").read_text() == (again / "config.yaml").read_text()


def test_the_command_line_wins_over_config_and_config_over_checkpoint(command: Command, workspace: Path) -> None:
    assert command("fit", *OLS, "--data.noise", "1", "--data.slope", "7", "--data.low", "-1").status == 0
    (workspace / "overlay.yaml").write_text("data: {init_args: {noise: 2.0, slope: 8.0}}\n")
    where = ["--config", "overlay.yaml", "--data.slope", "9", "--ckpt_path", str(RUN)]
    printed = command("test", *where, "--print_config")
    assert printed.status == 0, printed.err
    data = yaml.safe_load(printed.out)["data"]["init_args"]
    assert (data["low"], data["noise"], data["slope"]) == (-1.0, 2.0, 9.0)


@pytest.mark.parametrize(
    "where", ["best", "run", *(pytest.param(where, marks=pytest.mark.slow) for where in ("last", "file"))]
)
def test_every_word_for_a_checkpoint(where: str, command: Command) -> None:
    assert command("fit", *VALIDATED).status == 0
    word = {"run": str(RUN), "file": str(RUN / "checkpoints" / "last.ckpt")}.get(where, where)
    tested = command("test", *VALIDATED, "--ckpt_path", word)
    assert tested.status == 0, tested.err
    kept = metrics()["test"]
    assert Path(kept["checkpoint"]).name == ("last.ckpt" if where in ("last", "file") else "best.ckpt")
    assert not RUN.with_name("version_1").exists()  # a test adds to the run that it tests


def test_the_newest_run_with_that_checkpoint_is_meant(command: Command) -> None:
    for slope in ("1", "2"):
        assert command("fit", *OLS, "--data.slope", slope).status == 0
    newest = RUN.with_name("version_1")
    assert command("test", *OLS, "--ckpt_path", "last").status == 0
    assert "test" in metrics(newest)
    assert "test" not in metrics(RUN)
    for name in ("last", "previous"):
        (newest / "checkpoints" / f"{name}.ckpt").unlink()
    assert command("test", *OLS, "--ckpt_path", "last").status == 0
    assert "test" in metrics(RUN)


def test_a_checkpoint_alone_is_enough_to_test(command: Command) -> None:
    assert command("fit", *OLS, "--data.noise", "0").status == 0
    assert command("test", "--ckpt_path", RUN).status == 0
    assert metrics()["test"]["test/mse"] == pytest.approx(0, abs=1e-6)  # the run's own noise, not the default


def test_untrained_weights_are_measured_only_on_purpose(command: Command) -> None:
    assert command("validate", *OLS).status == 2
    assert command("test", *OLS, "--allow_untrained").status == 0
    assert metrics()["test"]["test/mse"] > 10


def test_resuming_continues_the_run(command: Command) -> None:
    assert command("fit", *VALIDATED).status == 0
    assert command("fit", *VALIDATED, "--trainer.max_epochs=3", "--ckpt_path=last").status == 0
    assert torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]


def test_test_after_fit(command: Command) -> None:
    assert command("fit", *VALIDATED, "--test_after_fit").status == 0
    assert Path(metrics()["test"]["checkpoint"]).name == "best.ckpt"
    assert command("fit", *OLS, "--test_after_fit", "--experiment=no_validation").status == 0
    assert "checkpoint" not in metrics(Path("lightning_logs/no_validation/version_0"))["test"]


def test_best_and_last_are_two_checkpoints(command: Command, fashion_mnist: Path) -> None:
    # a learning rate that ruins the second epoch: the best is the first
    rate = ["--model.lr_scheduler", "torch.optim.lr_scheduler.ExponentialLR", "--model.lr_scheduler.gamma", "1e4"]
    epochs = ["--model.lr_scheduler_interval", "epoch", "--trainer.num_sanity_val_steps", "0"]
    assert command("fit", *CNN, *rate, *epochs, "--data.data_dir", fashion_mnist, "--data.normalize=false").status == 0
    folder = Path("lightning_logs/fashion_mnist_cnn/version_0/checkpoints")
    best, last = (torch.load(folder / f"{word}.ckpt", weights_only=True) for word in ("best", "last"))
    assert (best["epoch"], last["epoch"]) == (1, 2)  # epochs that are over


def test_load_from_checkpoint_needs_no_arguments(command: Command, fashion_mnist: Path) -> None:
    assert command("fit", *CNN, "--data.data_dir", fashion_mnist).status == 0
    run = Path("lightning_logs/fashion_mnist_cnn/version_0")
    task = ClassificationTask.load_from_checkpoint(run / "checkpoints" / "best.ckpt").eval()
    images = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(task(images), convnet_of(run / "checkpoints" / "best.ckpt")(images))


@pytest.mark.slow
@pytest.mark.timeout(600)  # imports take long where nothing is cached
def test_another_process_gets_the_same_outputs(command: Command) -> None:
    assert command("fit", *OLS).status == 0
    args = ["predict", *OLS, "--ckpt_path", "last"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_template", *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = read_csv(RUN / "predictions.csv")
    task = RegressionTask.load_from_checkpoint(RUN / "checkpoints" / "last.ckpt").eval()
    with torch.no_grad():
        expected = task(torch.linspace(0, 10, 100).unsqueeze(1)).flatten()
    assert torch.equal(torch.tensor([float(row["value"]) for row in rows]), expected)  # the shortest digits tell all


def test_predict_writes_one_row_for_each_sample(command: Command, fashion_mnist: Path) -> None:
    config = [*CNN, "--data.data_dir", str(fashion_mnist), "--data.eval_batch_size", "5"]
    assert command("fit", *config).status == 0
    result = command("predict", *config, "--ckpt_path", "best")
    path = Path("lightning_logs/fashion_mnist_cnn/version_0/predictions.csv")
    assert result.out.splitlines()[-1] == f"predictions  {path}"
    rows = read_csv(path)
    assert list(rows[0]) == [
        *("index", "prediction", "prediction_name", "probability"),
        *(f"probability_of_{name}" for name in FashionMNISTDataModule.class_names),
        *("target", "target_name"),
    ]
    assert [int(row["index"]) for row in rows] == list(range(NUM_TEST))
    assert [int(row["target"]) for row in rows] == [index % 10 for index in range(NUM_TEST)]
    images = FashionMNISTDataModule(str(fashion_mnist)).load()[1][0].unsqueeze(1) / 255
    network = convnet_of(path.parent / "checkpoints" / "best.ckpt")
    with torch.no_grad():
        expected = network((images - 0.2860) / 0.3530).softmax(dim=1)
    names = FashionMNISTDataModule.class_names
    found = torch.tensor([[float(row[f"probability_of_{name}"]) for name in names] for row in rows]).double()
    torch.testing.assert_close(found, expected.double(), rtol=0, atol=1e-5)
    assert [float(row["probability"]) for row in rows] == pytest.approx(found.amax(dim=1).tolist())
    assert [names.index(row["prediction_name"]) for row in rows] == found.argmax(dim=1).tolist()


def test_callbacks_can_be_switched_off(command: Command) -> None:
    assert command("fit", *OLS, "--callbacks.checkpoint", "null", "--trainer.max_epochs", "1").status == 0
    assert not (RUN / "checkpoints").exists()
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    ("options", "bars"),
    [
        ([], ["ClockedProgressBar"]),
        (["--trainer.enable_progress_bar", "false"], []),
        (["--callbacks.progress_bar", "null"], []),
        (["--trainer.callbacks", "lightning.pytorch.callbacks.TQDMProgressBar"], ["TQDMProgressBar"]),
    ],
)
def test_one_progress_bar_at_most(
    options: list[str], bars: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ProgressBar] = []

    def look(self: TemplateCLI) -> None:
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        seen.extend(callback for callback in callbacks if isinstance(callback, ProgressBar))

    monkeypatch.setattr(TemplateCLI, "_finish_fit", look)
    assert command("fit", *OLS, *options, "--trainer.max_epochs", "1").status == 0
    assert [type(bar).__name__ for bar in seen] == bars


def test_one_cycle_gets_its_length_and_moves_every_step(command: Command, workspace: Path, fashion_mnist: Path) -> None:
    monitor = ["--trainer.callbacks", "lightning.pytorch.callbacks.LearningRateMonitor"]
    assert command("fit", *CNN, *monitor, "--data.data_dir", fashion_mnist).status == 0
    state = torch.load("lightning_logs/fashion_mnist_cnn/version_0/checkpoints/last.ckpt", weights_only=True)
    schedule = state["lr_schedulers"][0]
    num_steps = 2 * -(-86 // 16)  # two epochs of 86 training samples in batches of 16
    assert schedule["total_steps"] == num_steps
    assert schedule["last_epoch"] == num_steps


def test_a_network_in_the_users_own_file(command: Command, workspace: Path) -> None:
    (workspace / "mine.py").write_text(
        "from torch import nn\n"
        "class Mine(nn.Sequential):\n"
        "    def __init__(self, width: int) -> None:\n"
        "        super().__init__(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))\n"
    )
    assert command("fit", *OLS, "--model.network", "mine.Mine", "--model.network.width", "3").status == 0
    assert weights(RUN / "checkpoints" / "last.ckpt")["network.0.weight"].shape == (3, 1)


@pytest.mark.slow
def test_resnet18_with_one_input_channel(command: Command, workspace: Path, fashion_mnist: Path) -> None:
    (workspace / "resnet.yaml").write_text(
        "model:\n  init_args:\n    network:\n      class_path: lightning_template.networks.WithInputChannels\n"
        "      init_args:\n        in_channels: 1\n"
        "        network: {class_path: torchvision.models.resnet18, init_args: {num_classes: 10}}\n"
    )
    fast = ["--config", str(ROOT / "configs/debug/fast.yaml")]
    config = [*CNN, "--config", "resnet.yaml", *fast, "--data.data_dir", str(fashion_mnist)]
    assert command("fit", *config).status == 0
    assert command("test", "--ckpt_path", "lightning_logs/debug/version_0").status == 0
    saved = weights(Path("lightning_logs/debug/version_0/checkpoints/last.ckpt"))
    assert saved["network.network.conv1.weight"].shape == (64, 1, 7, 7)
    assert sum(weight.numel() for weight in saved.values()) > 11_000_000  # it is a ResNet-18


def test_print_config_and_help(command: Command) -> None:
    printed = command("fit", *OLS, "--print_config")
    assert yaml.safe_load(printed.out)["trainer"]["max_epochs"] == 10
    short = command("fit", "--help").out
    assert len(short.splitlines()) <= 45
    assert max(map(len, short.splitlines())) <= 120
    everything = command("fit", "--help_all").out
    options = set(re.findall(r"^  (--[a-z_.]+)", short, flags=re.MULTILINE))
    elsewhere = {"--debug", "--version", "--help_all", "--completion", "--allow_untrained", "--data.", "--callbacks."}
    elsewhere |= {"--input", "--invert", "--output", "--with"}  # of `predict`, and read before the parser
    assert {option for option in options - elsewhere if option.removesuffix(".") not in everything} == set()
    assert "--allow_untrained" in command("test", "--help_all").out

"""With a version of Lightning whose private parts nobody knows, training, resume and the command line work."""

import json
import logging
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.optim import SGD

from conftest import ROOT, Command
from fitting import fit, observers, read
from lightning_template.callbacks import BestAndLast, Executions
from lightning_template.datamodules import LineDataModule
from lightning_template.engine.libraries import lightning_trainer
from lightning_template.engine.libraries.lightning_trainer import KNOWN_VERSION, needs_no_validation
from lightning_template.networks import MLP
from lightning_template.tasks import RegressionTask

PRIVATE = ("libraries.lightning_loops", "libraries.lightning_connectors", "loops.execution", "loops.resumable")
LINE = "Lightning 2.99.0 is not known here, but 2.6.x is: executions are one step, checkpoints are written at the ends"


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Pretend another version, with which what is private could not even be imported."""
    with monkeypatch.context() as patch:
        patch.setattr(lightning, "__version__", "2.99.0")
        for name in PRIVATE:
            patch.setitem(sys.modules, f"lightning_template.engine.{name}", None)
        lightning_trainer.report_unknown_version.cache_clear()
        yield patch
    lightning_trainer.report_unknown_version.cache_clear()


def run(max_epochs: int, keeper: BestAndLast, **more: Any) -> dict[str, torch.Tensor]:
    """Fit a line, and return its weights."""
    seed_everything(1)
    task = RegressionTask(MLP(1, [4], 1), nn.MSELoss(), partial(SGD, lr=0.01, momentum=0.9))
    data = LineDataModule(num_points=60, batch_size=6, val_fraction=0.2)
    fit(task, data, Executions(), *observers(), keeper=keeper, max_epochs=max_epochs, **more)
    return task.state_dict()


def test_weights_and_checkpoints_are_those_of_a_known_version(
    workspace: Path, unknown: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weights, scores = [], []
    for root in (Path("unknown"), Path("known")):
        keeper = BestAndLast(every_minutes=None)
        weights.append(run(3, keeper, root=root))
        scores.append(keeper.best_score)
        assert {"train/loss", "val/loss", "train/loss_step", "optimizer/lr"} <= {*read(root).Tags()["scalars"]}
        assert {path.name for path in root.rglob("*.ckpt")} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
        unknown.undo()
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=0)
    assert scores[0] == scores[1]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message[: len(LINE)] for message in warnings if message.startswith("Lightning")] == [LINE]


def test_the_loops_and_the_resume_are_lightnings(workspace: Path, unknown: pytest.MonkeyPatch) -> None:
    run(2, BestAndLast(every_minutes=None), root=Path("one"))
    last = next(Path("one").rglob("last.ckpt"))
    assert torch.load(last, weights_only=True)["loops"]["fit_loop"]["epoch_loop.state_dict"].keys() == {
        "_batches_that_stepped"
    }
    trainers: list[Trainer] = []
    unknown.setattr(BestAndLast, "on_fit_end", lambda self, trainer, module: trainers.append(trainer))
    run(5, BestAndLast(every_minutes=None), root=Path("two"), ckpt_path=last)
    assert trainers[0].current_epoch == 5
    assert trainers[0].global_step == 5 * 8
    assert type(trainers[0].fit_loop).__module__.startswith("lightning.")
    assert type(trainers[0].fit_loop.epoch_loop).__module__.startswith("lightning.")


def test_the_command_line_works(command: Command, unknown: pytest.MonkeyPatch) -> None:
    line = ["--config", str(ROOT / "configs/line/ols.yaml"), "--data.val_fraction=0.2", "--callbacks.figures=null"]
    fitted = command("fit", *line, "--trainer.max_epochs=2", "--test_after_fit")
    assert fitted.status == 0, fitted.err
    assert fitted.err.count("Lightning 2.99.0 is not known here") == 1
    checkpoint = "lightning_logs/line_ols/version_0"
    resumed = command("fit", "--ckpt_path", checkpoint, "--trainer.max_epochs=4", "--allow_changes")
    assert resumed.status == 0, resumed.err
    assert torch.load(f"{checkpoint}/checkpoints/last.ckpt", weights_only=True)["epoch"] == 3
    assert command("test", "--ckpt_path", checkpoint).status == 0
    assert command("predict", "--ckpt_path", checkpoint).status == 0
    measured = json.loads(Path(checkpoint, "metrics.json").read_text())
    assert {"final", "best", "test"} <= measured.keys()
    failed = command("fit", *line, "--model.network.init_args.out_features=0.5")
    assert failed.status == 2
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize("at_epoch_end", [True, False])
def test_what_early_stopping_needs_is_certain_for_a_known_version_alone(
    at_epoch_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = EarlyStopping("val/loss", check_on_train_epoch_end=at_epoch_end)
    assert needs_no_validation(callback) == at_epoch_end
    monkeypatch.setattr(lightning, "__version__", "2.7.0")
    assert not needs_no_validation(callback)
    assert needs_no_validation(BestAndLast())


def test_the_installed_version_is_known() -> None:
    assert lightning.__version__.startswith(KNOWN_VERSION)

"""Runs of a Trainer that is made in Python: directory, dashboard, exact resume, and what is found there later."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from fitting import read
from lightning_template import (
    MLP,
    BestAndLast,
    ClassificationTask,
    ClockedProgressBar,
    Figures,
    InMemoryDataModule,
    RegressionTask,
    load_run,
    run_options,
)
from lightning_template.engine.files import DataDigest

QUIET: list[Callback] = [Figures(every_n_epochs=100)]
OPTIONS: dict[str, Any] = {"accelerator": "cpu", "enable_model_summary": False, "log_every_n_steps": 1}


class Noise(InMemoryDataModule):
    """Classes of noise."""

    source = "a"

    def data_digests(self) -> dict[str, DataDigest]:
        return {"source": DataDigest("noise.bin", self.source)}

    def load(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(60, 3, generator=generator)
        return (inputs, (inputs[:, 0] > 0).long()), None


def make_task(**options: Any) -> ClassificationTask:
    torch.manual_seed(0)
    given: dict[str, Any] = {"optimizer": partial(torch.optim.Adam, lr=0.01)}
    network = nn.Sequential(MLP(3, [8], 2), nn.Dropout(0.1))
    return ClassificationTask(network, nn.CrossEntropyLoss(), num_classes=2, **given | options)


class Fails(Callback):
    """Fails at a step."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == 5:
            raise RuntimeError("the power is gone")


def test_a_run_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("lightning_logs/noise/version_0")
    task, data = make_task(), Noise(batch_size=16)
    trainer = Trainer(max_epochs=3, **OPTIONS, **run_options("noise", QUIET))
    trainer.fit(task, data)
    assert {path.name for path in run.iterdir()} >= {"checkpoints", "metrics.json", "state.json", "data.json"}
    assert [path.name for path in Path().iterdir()] == ["lightning_logs"]
    assert {"train/loss", "val/accuracy"} <= set(json.loads((run / "metrics.json").read_text())["final"])

    keeper = BestAndLast(every_n_steps=3)
    stopped = Trainer(max_epochs=3, **OPTIONS, **run_options("stopped", [*QUIET, keeper, Fails()]))
    with pytest.raises(RuntimeError, match="the power is gone"):
        stopped.fit(make_task(), Noise(batch_size=16))
    there = Path("lightning_logs/stopped/version_0")
    last = there / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] in (3, 4)
    other = Noise()
    other.source = "b"
    with pytest.raises(
        ValueError, match=r"noise\.bin has changed: its digest was a and is b, so the run might not end"
    ):
        Trainer(max_epochs=3, **OPTIONS, **run_options("stopped", QUIET)).fit(make_task(), other, ckpt_path=last)
    torch.manual_seed(7)
    resumed = make_task()
    Trainer(max_epochs=3, **OPTIONS, **run_options("stopped", QUIET)).fit(resumed, Noise(batch_size=16), ckpt_path=last)
    assert [path.name for path in there.parent.iterdir()] == ["version_0"]
    assert json.loads((there / "state.json").read_text())["state"] == "finished"
    for name, weight in task.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    steps = [event.step for event in read_events("stopped").Scalars("train/loss_step")]
    assert steps == sorted(set(steps)) == list(range(12))

    with pytest.raises(ValueError, match=r"has no config\.yaml"):
        load_run(run)
    loaded = load_run(run / "checkpoints" / "last.ckpt", task=make_task(), data=data)
    inputs = torch.randn(4, 3)
    with torch.no_grad():
        expected = task.eval()(inputs).softmax(dim=1)
    table = loaded.predict(inputs)
    assert table["probability_of_1"].to_pylist() == expected[:, 1].tolist()
    assert (
        table.to_pylist() == load_run(run / "checkpoints" / "last.ckpt", task=make_task()).predict(inputs).to_pylist()
    )
    trainer.predict(task, data)
    assert (run / "predictions.csv").is_file()


def read_events(name: str) -> Any:
    path = Path("lightning_logs") / "run"
    path.symlink_to(Path(name).absolute().parent / "lightning_logs" / name)
    return read()


def test_a_mistake_leaves_nothing(tmp_path: Path) -> None:
    wrong = ClassificationTask(MLP(3, [8], 4), nn.CrossEntropyLoss(), 2, optimizer=torch.optim.Adam)
    for task, message in (
        (wrong, "`network` must return outputs of shape"),
        (RegressionTask(MLP(3, [8], 4), nn.MSELoss()), "training needs an `optimizer`"),
    ):
        trainer = Trainer(max_epochs=1, **OPTIONS, **run_options("noise", QUIET, tmp_path))
        with pytest.raises(ValueError, match=message):
            trainer.fit(task, Noise())
    with pytest.raises(ValueError, match="`experiment` must be one name"):
        run_options("a/b")
    assert list(tmp_path.iterdir()) == []


def test_callbacks_of_a_kind_take_the_place_of_a_run_s_own() -> None:
    mine: list[Callback] = [BestAndLast(every_n_steps=2), ClockedProgressBar()]
    found = run_options("noise", mine)["callbacks"]
    assert [callback for callback in found if isinstance(callback, BestAndLast | ClockedProgressBar)] == mine
    assert len(found) == len(run_options("noise")["callbacks"])

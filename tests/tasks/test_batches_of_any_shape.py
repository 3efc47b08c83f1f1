"""Batches, targets and outputs that are no tensors: everything that pairs of tensors have works with them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from batches import KINDS, NUM_SAMPLES, SAMPLES, SGD, Graph, Loaders, Net, stacked
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import default_collate

from fitting import fit
from killing import KilledError, killed_at
from lightning_template.callbacks import BestAndLast, Dashboard, Executions, Figures, PredictionWriter, StepMonitor
from lightning_template.engine.loops.execution import ExecutionLoop
from lightning_template.engine.rehearsal import Rehearsal, trial
from lightning_template.engine.rehearsal import callback as rehearsal
from lightning_template.tasks import ClassificationTask
from lightning_template.testing import check_task

LIKE_OTHERS = {"dict without targets in prediction", "dataclass with slots", "frozen dataclass", "nested dict"}
"""Kinds that train as others do."""


def trainer_of(*callbacks: Callback, **options: Any) -> Trainer:
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    defaults: dict[str, Any] = {"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 6}
    return Trainer(callbacks=list(callbacks), **silent | defaults | options)


def train(kind: str, steps: int, *callbacks: Callback, ckpt_path: Path | None = None, **options: Any) -> Any:
    """Fit, and return the task, the metrics and the state of the optimizer."""
    torch.manual_seed(0)
    task, data = KINDS[kind][0](), KINDS[kind][1]()
    trainer = trainer_of(Rehearsal(), *callbacks, Executions(steps), **options)
    trainer.fit(task, data, ckpt_path=ckpt_path, weights_only=True)
    return task, trainer.callback_metrics, trainer.optimizers[0].state_dict()


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in LIKE_OTHERS else kind for kind in KINDS]
)
def test_executions_and_resume_change_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run in single steps; one in executions of several that is killed within an epoch and resumed."""
    monkeypatch.setattr("lightning_template.engine.loops.execution.MAX_SECONDS", 60.0)
    tried: list[set[str]] = []

    def rehearse(*args: Any) -> set[str]:
        tried.append(trial.rehearse(*args))
        return tried[-1]

    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
    single, metrics, optimizer = train(kind, 1)
    assert tried[0] >= {"train/loss"}  # the rehearsal knew how to try such a batch
    num_inner = 0
    inner_step = ExecutionLoop.inner_step

    def counted(*args: Any) -> None:
        nonlocal num_inner
        num_inner += 1
        inner_step(*args)

    monkeypatch.setattr(ExecutionLoop, "inner_step", counted)
    saving: Any = {"enable_checkpointing": True, "default_root_dir": tmp_path}
    hook = killed_at(18)  # within the third epoch
    try:
        with pytest.raises(KilledError):
            train(kind, 4, BestAndLast(every_n_steps=4), **saving)
    finally:
        hook.remove()
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 16
    resumed = train(kind, 4, BestAndLast(every_n_steps=50), ckpt_path=last, **saving)
    assert num_inner > 10
    torch.testing.assert_close(resumed[0].state_dict(), single.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(resumed[1], metrics, rtol=0, atol=0)
    torch.testing.assert_close(resumed[2], optimizer, rtol=0, atol=0)
    assert {"train/loss", "val/loss"} < metrics.keys()
    assert len(metrics) >= 5


def whole_batch(kind: str) -> Any:
    task, data = KINDS[kind][0](), KINDS[kind][1]()
    torch.manual_seed(3)
    for weight in task.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return task.eval(), data, data.collate(SAMPLES)


@torch.no_grad()
def errors(task: Any, inputs: Any, targets: Tensor) -> dict[str, float]:
    values = task(inputs)
    values = values[0] if isinstance(values, tuple) else values["value"] if isinstance(values, dict) else values
    return {"val/mae": (values - targets).abs().mean().item()}


@torch.no_grad()
def expected(kind: str, task: Any, batch: Any) -> dict[str, float]:
    """Return what validation measures, computed from all samples at once without any metric class."""
    y = stacked(SAMPLES)[1]
    if kind == "padded sequences":
        numbers, lengths, tags = batch
        best = task((numbers, lengths))["scores"].argmax(-1)
        return {"val/accuracy": (best == tags)[tags != -100].double().mean().item()}
    if kind == "encoding":
        right = task(batch).logits.argmax(1) == batch["labels"]
        loss = torch.nn.functional.cross_entropy(task(batch).logits, batch["labels"])
        return {"val/accuracy": right.double().mean().item(), "val/loss": loss.item()}
    if kind == "two heads":
        inputs, targets = batch
        outputs = task(inputs)
        right = outputs["kind"].argmax(1) == targets["kind"]
        return {
            "val/size_mae": (outputs["size"] - targets["size"]).abs().mean().item(),
            "val/kind": right.double().mean().item(),
        }
    inputs = batch if isinstance(batch, Graph) else task.unpack(batch)[0]
    return errors(task, inputs, y)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_those_of_all_samples(kind: str) -> None:
    task, data, batch = whole_batch(kind)
    trainer = trainer_of(Rehearsal())
    (found,) = trainer.validate(task, data, verbose=False)
    wanted = expected(kind, task, batch)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    (tested,) = trainer.test(task, data.val_dataloader(), verbose=False)
    assert {name.replace("test", "val"): value for name, value in tested.items()} == pytest.approx(found, rel=1e-5)
    losses: list[float] = []
    with torch.no_grad():
        for part in data.val_dataloader():
            inputs, targets = task.unpack(part)
            losses += [task.compute_loss(task(inputs), targets).item()] * min(5, NUM_SAMPLES - len(losses))
    assert found["val/loss"] == pytest.approx(sum(losses) / NUM_SAMPLES, rel=1e-5)


def read(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_a_table(kind: str, tmp_path: Path) -> None:
    task, data, _ = whole_batch(kind)
    writer = PredictionWriter()
    writer.write_to(str(tmp_path / "y.csv"), None)
    trainer_of(writer).predict(task, data)
    table = read(tmp_path / "y.csv")
    assert table["index"] == [str(number) for number in range(NUM_SAMPLES)]
    y = stacked(SAMPLES)[1].flatten().tolist()
    if kind == "padded sequences":
        numbers, lengths, tags = data.collate(SAMPLES)
        with torch.no_grad():
            best = task((numbers, lengths))["scores"].argmax(-1)
        assert table["tags"] == [
            " ".join(map(str, row[:length].tolist())) for row, length in zip(best, lengths, strict=True)
        ]
        wanted = [["" if tag == -100 else str(tag) for tag in column] for column in tags.T.tolist()]
        found = [
            ["" if cell == "-100" else cell for cell in table[f"target_{place}"]] for place in range(tags.shape[1])
        ]
        assert found == wanted
        return
    without = kind in ("dict without targets in prediction", "encoding")
    assert without == (not any(name.startswith("target") for name in table))
    if kind == "two heads":
        assert [float(cell) for cell in table["target_size"]] == pytest.approx(y, rel=1e-5)
        assert table["target_kind"] == [str(int(value > 0)) for value in y]
        assert {"value_size", "value_kind_0", "value_kind_1"} < table.keys()
    elif kind == "triple with weights":
        assert [float(cell) for cell in table["target_y"]] == pytest.approx(y, rel=1e-5)
        assert table["target_weight"][:6] == ["1", "2", "3", "4", "5", "1"]
    elif not without:
        assert [float(cell) for cell in table["target"]] == pytest.approx(y, rel=1e-5)
        assert all(cell for cell in table["value"])


@pytest.mark.parametrize(
    "kind", [kind if kind == "graph" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_they_pass_the_checks(kind: str) -> None:
    outcomes = [result.outcome for result in check_task(*KINDS[kind])]
    assert outcomes.count("passed") > 3


class PicturesTask(ClassificationTask):
    """A batch is a dict with pictures, names and labels; the network returns a dict."""

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        return {"names": batch["name"], "pictures": batch["picture"]}, batch["label"]

    def forward(self, inputs: Any) -> Any:
        return self.network(inputs["pictures"].flatten(1))


def pictures() -> Loaders:
    samples = [{"name": str(n), "picture": torch.randn(1, 4, 4), "label": n % 3} for n in range(10)]
    return Loaders((samples, samples, samples), default_collate)


@pytest.mark.parametrize(
    ("make", "data", "figures"),
    [
        (
            lambda: PicturesTask(Net(16, 3), nn.CrossEntropyLoss(), num_classes=3, optimizer=SGD),
            pictures,
            {"images/samples", "images/worst mistakes", "classes/confusion matrix"},
        ),
        (*KINDS["graph"], {"regression"}),
        (*KINDS["two heads"], set()),
    ],
)
def test_the_dashboard_shows_them(make: Any, data: Any, figures: set[str], workspace: Path) -> None:
    events = fit(make(), data(), Dashboard(), Figures(every_n_epochs=1), StepMonitor(), max_epochs=1)
    tags = events.Tags()
    assert figures | {"data"} <= set(tags["images"])
    assert bool(figures) == (tags["images"] != ["data"])
    assert tags["graph"]
    assert events.Scalars("speed/samples_per_second")[0].value > 0


def test_a_figure_of_predictions_finds_the_pictures(tmp_path: Path) -> None:
    writer, data = PredictionWriter(), pictures()
    writer.write_to(str(tmp_path / "y.csv"), str(tmp_path / "y.png"))
    task = PicturesTask(Net(16, 3), nn.CrossEntropyLoss(), num_classes=3, optimizer=SGD)
    trainer_of(writer).predict(task, data.val_dataloader())
    assert (tmp_path / "y.png").stat().st_size > 1000
    writer = PredictionWriter()
    writer.write_to(str(tmp_path / "z.csv"), str(tmp_path / "z.png"))
    task, graphs = KINDS["graph"][0](), KINDS["graph"][1]()
    with pytest.raises(ValueError, match=r"^there is no figure of samples of this kind: leave out --figure$"):
        trainer_of(writer).predict(task, graphs)


def test_a_hook_that_needs_targets_is_told_what_to_return_in_prediction() -> None:
    class Strict(type(KINDS["dict"][0]())):  # type: ignore[misc]
        def unpack(self, batch: Any) -> tuple[Any, Any]:
            return batch["x"], batch["y"]

    data = KINDS["dict without targets in prediction"][1]()
    with pytest.raises(ValueError, match=r"no key 'y'; return None as targets of a batch that has none$"):
        trainer_of(Rehearsal()).predict(Strict(Net(), nn.MSELoss(), optimizer=SGD), data)


def test_a_frozen_dataclass_needs_a_method() -> None:
    @dataclass(frozen=True)
    class Bare:
        x: Tensor
        y: Tensor

    task, data = KINDS["dataclass"][0](), KINDS["dataclass"][1]()
    data.collate = lambda samples: Bare(*stacked(samples))
    with pytest.raises(ValueError, match=r"^Lightning cannot change a batch Bare, .* give that a method `to\("):
        trainer_of(Rehearsal()).fit(task, data)

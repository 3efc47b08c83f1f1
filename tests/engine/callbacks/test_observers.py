"""What only observes a run neither ends it nor changes its results."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.loggers import tensorboard as lightnings
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torchmetrics import CatMetric
from torchmetrics.classification import MulticlassAccuracy

import foreign
from conftest import Command
from fitting import fit, observers
from lightning_template.callbacks import ClockedProgressBar
from lightning_template.engine.callbacks import run_directory
from lightning_template.engine.callbacks.observer import Guard, Observer, untouched
from lightning_template.engine.callbacks.tensorboard import EventLogger
from lightning_template.engine.cli import trainer_cli as cli
from lightning_template.engine.dashboard import plots
from lightning_template.engine.process.errors import Stopped

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (
        ".*does not have many workers",
        "You passed in a `val_dataloader` but have no",
        "Trying to infer the `batch_size` from an ambiguous collection",
        "Total length of `list` across ranks is zero",
    )
]

Data, Foreign = foreign.Data, foreign.Foreign
FOREIGN: dict[str, tuple[type[LightningModule], dict[str, Any], dict[str, Any]]] = {
    "two optimizers, forward takes noise": (foreign.GAN, {}, {"validates": False}),
    "no length": (Foreign, {}, {"streams": True}),
    "no length, no validation": (Foreign, {}, {"streams": True, "validates": False}),
    "no forward": (foreign.NoForward, {}, {}),
    "no forward, no validation": (foreign.NoForward, {}, {"validates": False}),
    "two arguments": (foreign.TwoArguments, {}, {"validates": False}),
    "figures fail": (foreign.FailingFigures, {}, {}),
    **{
        f"outputs {kind}": (Foreign, {"outputs": kind}, {})
        for kind in ("dict", "tuple", "scalar", "nan", "one", "wide", "none")
    },
    **{
        f"batches {kind}": (Foreign, {}, {"kind": kind})
        for kind in ("triple", "alone", "dict", "words", "huge", "negative", "images", "number")
    },
    **{
        f"batches {kind}, no validation": (Foreign, {}, {"kind": kind, "validates": False})
        for kind in ("dict", "words", "huge")
    },
}


def left_out(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said to be left out."""
    said = [record.getMessage() for record in caplog.records if record.name == "lightning_template"]
    return [message for message in said if message.startswith("left out")]


LIKE_OTHERS = {f"outputs {kind}" for kind in ("tuple", "one", "wide", "none")}
LIKE_OTHERS |= {f"batches {kind}" for kind in ("triple", "alone", "negative", "number")}
"""Modules that are met as others are: the slow suite trains them."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LIKE_OTHERS)) for name in FOREIGN]
)
def test_foreign_modules_train(name: str, workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    module, arguments, of_data = FOREIGN[name]
    fit(module(**arguments), Data(**of_data), *observers())
    assert (workspace / "lightning_logs/run/version_0/checkpoints/last.ckpt").is_file()
    said = left_out(caplog)
    assert len(said) == len(set(said)), "said again"
    assert all(len(message.splitlines()) == 1 for message in said)


def test_one_line_says_what_cannot_be_drawn_and_the_rest_is(
    workspace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        raise RuntimeError("no such\nfont")

    monkeypatch.setattr(plots, "confusion_matrix", fail)
    events = fit(foreign.FailingFigures(), Data(), *observers())
    assert left_out(caplog) == [
        "left out from here on: the figure classes/confusion matrix: RuntimeError: no such font",
        "left out from here on: figures of the task: KeyError: 'no such thing'",
    ]
    assert len(calls) == 1
    assert events.Tags()["images"] == ["data", "classes/accuracy", "classes/calibration"]
    assert len(events.Images("classes/calibration")) == 2


def test_a_task_without_predictions_is_not_asked_for_figures(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit(foreign.FailingFigures("dict"), Data(), *observers())
    assert not left_out(caplog)


def test_a_hook_that_fails_ends_the_callback_and_not_the_run(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    class Broken(Observer):
        def on_train_epoch_start(self, *_: object) -> None:
            calls.append("start")

        def on_train_batch_end(self, *_: object) -> None:
            raise MemoryError

        def on_train_epoch_end(self, *_: object) -> None:
            calls.append("end")

        def state_dict(self) -> dict[str, Any]:
            return {"calls": 1}

    broken = Broken()
    fit(Foreign(), Data(), broken)
    assert calls == ["start"]
    assert left_out(caplog) == ["left out from here on: the callback Broken: MemoryError"]
    assert Observer.on_train_batch_end is not Broken.on_train_batch_end
    assert "on_train_start" not in vars(Broken)  # a hook that is not there costs nothing


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Stopped(15, 3)])
def test_what_is_meant_to_end_a_run_does(error: Any) -> None:
    def stop() -> None:
        raise error

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        Guard()("a part", stop)
    assert caught.value is error or caught.type is error


def test_a_long_message_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("x" * 10_000)

    guard = Guard()
    assert guard("a part", fail) is None
    assert guard("another", int, "3") == 3
    assert left_out(caplog) == ["left out from here on: a part: ValueError: " + "x" * 300]


def parts(module: LightningModule) -> list[Any]:
    """Return all that an observer must leave alone."""
    metrics = [part for part in module.modules() if isinstance(part, MulticlassAccuracy)]
    return [
        *(tensor.clone() for tensor in module.state_dict().values()),
        *(None if weight.grad is None else weight.grad.clone() for weight in module.parameters()),
        *(getattr(metric, name).clone() for metric in metrics for name in metric._defaults),
        *(metric._update_count for metric in metrics),
        *(part.training for part in module.modules()),
        torch.get_rng_state(),
        torch.is_grad_enabled(),
        module.log,
    ]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_untouched_leaves_all_as_it_was(fails: bool, inference: bool) -> None:
    module = foreign.Meddling(fails)
    module.accuracy.update(torch.eye(3), torch.tensor([0, 1, 1]))
    module.layer(torch.ones(1, 4)).sum().backward()
    module.norm.eval()
    before = parts(module)
    expected = pytest.raises(RuntimeError, match="meddled") if fails else nullcontext()
    with torch.inference_mode(inference), expected, untouched(module):
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
        module(torch.randn(2, 4))
        module.norm.running_mean.add_(1)  # type: ignore[union-attr]
        torch.set_grad_enabled(True)
        module.figures()
    for was, now in zip(before, parts(module), strict=True):
        if isinstance(was, Tensor):
            torch.testing.assert_close(now, was, rtol=0, atol=0)
        else:
            assert now == was
    module.train()
    module.accuracy.update(torch.eye(3), torch.tensor([0, 1, 1]))  # can be changed in place as before
    module.layer(module.norm(torch.randn(2, 4))).sum().backward()


def test_untouched_leaves_the_same_lists_in_a_metric() -> None:
    module = LightningModule()
    module.values = CatMetric()
    module.values.update(torch.ones(2))
    held = module.values.value
    assert isinstance(held, list)
    with untouched(module):
        module.values.update(torch.zeros(3))
    assert module.values.value is held
    assert module.values.compute().tolist() == [1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_weights_are_those_of_a_run_that_nobody_observed(fails: bool, workspace: Path) -> None:
    weights, logged = [], []
    for callbacks in ([], observers()):
        seed_everything(1)
        module = foreign.Meddling(fails)
        events = fit(module, Data(), *callbacks, root=Path(str(len(callbacks))))
        weights.append(parts(module))
        tags = ("train_accuracy", "val_accuracy", "train_loss")
        logged.append([event.value for tag in tags for event in events.Scalars(tag)])
    for one, other in zip(*weights, strict=True):
        if isinstance(one, Tensor):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert logged[0] == logged[1]


@pytest.mark.parametrize("method", ["write", "flush", "close"])
def test_a_disk_without_space_for_curves_ends_no_run(
    method: str, workspace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(RecordWriter, method), []

    def write(self: Any, *args: Any) -> None:
        calls.append(1)
        if len(calls) > (5 if method == "write" else 0):
            raise OSError(28, "No space left on device")
        real(self, *args)

    monkeypatch.setattr(RecordWriter, method, write)
    fit(Foreign(), Data(), *observers())
    assert left_out(caplog) == [
        "left out from here on: TensorBoard's files: OSError: [Errno 28] No space left on device"
    ]


@pytest.mark.parametrize("name", ["SummaryWriter", "save_hparams_to_yaml"])
def test_tensorboard_that_cannot_begin_or_end_ends_no_run(
    name: str, workspace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(torch.utils.tensorboard if name == "SummaryWriter" else lightnings, name, fail)
    fit(Foreign(), Data(), *observers())
    assert left_out(caplog) == ["left out from here on: TensorBoard's files: OSError: [Errno 30] Read-only file system"]


def test_no_rank_but_the_first_writes_for_tensorboard(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert isinstance(EventLogger("logs").experiment, _DummyExperiment)
    assert not Path("logs").exists()


THREE_LINES = """\
model: {class_path: foreign.FailingFigures}
data: {class_path: foreign.Data}
trainer: {max_epochs: 2, accelerator: cpu, log_every_n_steps: 1}
"""


def test_the_status_of_a_run_is_not_that_of_its_observers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    Path("foreign.yaml").write_text(THREE_LINES)
    monkeypatch.setattr(run_directory, "describe_environment", fail)
    monkeypatch.setattr(cli, "summarise", fail)
    result = command("fit", "--config=foreign.yaml", "--callbacks.figures.every_n_epochs=1")
    assert result.status == 0
    assert [line for line in result.err.splitlines() if line.startswith("left out")] == [
        "left out from here on: the description of the environment: RuntimeError: no",
        "left out from here on: figures of the task: KeyError: 'no such thing'",
        "left out from here on: the summary: RuntimeError: no",
    ]
    assert "Traceback" not in result.err


def test_a_bar_that_fails_ends_no_run(
    workspace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClockedProgressBar, "_show", lambda self: [][0])
    fit(Foreign(), Data(), ClockedProgressBar(), enable_progress_bar=True)
    (line,) = left_out(caplog)
    assert line == "left out from here on: the callback ClockedProgressBar: IndexError: list index out of range"

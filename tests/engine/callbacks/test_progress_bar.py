"""How far a run is: a bar in a terminal, lines in a log file."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from conftest import ROOT, Command
from lightning_template.callbacks import ClockedProgressBar
from lightning_template.engine.callbacks import progress_bar

OLS = ["--config", ROOT / "configs" / "line" / "ols.yaml", "--callbacks.figures=null", "--callbacks.dashboard=null"]
OLS += ["--data.val_fraction=0.1", "--data.batch_size=45", "--trainer.max_epochs=2"]


def test_a_log_file_gets_one_line_where_time_is_short(command: Command) -> None:
    result = command("fit", *OLS)
    lines = [line for line in result.out.splitlines() if "batches" in line]
    assert len(lines) == 1
    assert lines[0].startswith("epoch 2/2: 100 %, 00:0")
    assert "0:00 left" in lines[0]
    assert "train/loss_step=0." in lines[0]
    assert "val/loss=0." in lines[0]
    assert "\r" not in result.out


def test_a_log_file_gets_lines_as_time_goes_by(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS_OF_LINES", 0.0)
    lines = [line.split(",")[0] for line in command("fit", *OLS).out.splitlines() if "batches" in line]
    assert lines == [
        "epoch 1/2: 25 %",
        "epoch 1/2: 50 %",
        "epoch 1/2",  # validation
        "epoch 2/2: 75 %",
        "epoch 2/2: 100 %",
        "epoch 2/2",
        "epoch 2/2: 100 %",
    ]


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_terminal_gets_a_bar_that_redraws_on_a_clock(
    seconds: float, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS", seconds)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = command("fit", *OLS).out
    assert "\repoch 2/2: 100%|" in out
    assert ("\repoch 1/2:  50%|" in out) == (seconds == 0)


def test_a_task_shows_what_it_watches(command: Command, fashion_mnist: Path) -> None:
    config = ROOT / "configs" / "fashion_mnist" / "mlp.yaml"
    off = ["--callbacks.figures=null", "--callbacks.dashboard=null", "--trainer.max_epochs=1", "--data.batch_size=1"]
    assert "val/accuracy=" in command("fit", "--config", config, *off, "--data.data_dir", fashion_mnist).out


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_evaluation_has_a_bar(stage: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS_OF_LINES", 0.0)
    out = command(stage, *OLS[:-1], "--data.eval_batch_size=5", "--allow_untrained").out
    what = {"validate": "validation: 50 %", "test": "test: 5 %", "predict": "prediction: 5 %"}[stage]
    assert what in out


class Clock:
    """A clock that stands still until it is set, and what a bar shows by it.

    Args:
        is_terminal: Whether the output is a terminal.
    """

    def __init__(self, is_terminal: bool) -> None:
        self.now = 1000.0
        self.out = io.StringIO()
        self.out.isatty = lambda: is_terminal  # type: ignore[method-assign]
        self.out.flush = self._flush  # type: ignore[method-assign]
        self.num_flushed = 0

    def _flush(self) -> None:
        self.num_flushed += 1

    def time(self) -> float:
        return self.now

    monotonic = time

    def lines(self) -> list[str]:
        """Return what was shown since the last call, without the bar itself."""
        shown = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        parts = [line.strip() for line in shown.replace("\r", "\n").split("\n")]
        return [line.split("|")[0] + line.split("|")[-1] if "|" in line else line for line in parts if line]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Clock]:
    def make(is_terminal: bool) -> Clock:
        made = Clock(is_terminal)
        monkeypatch.setattr(progress_bar, "time", made)
        monkeypatch.setattr("tqdm.std.time", made.time)
        monkeypatch.setattr(sys, "stdout", made.out)
        return made

    return make


def training(ready: int = 0, **more: Any) -> Any:
    """Return what a bar asks a trainer for: 4 epochs of 50 batches."""
    defaults: dict[str, Any] = {
        "max_steps": -1,
        "max_epochs": 4,
        "num_training_batches": 50,
        "accumulate_grad_batches": 1,
        "current_epoch": 0,
        "validating": False,
        "sanity_checking": False,
        "progress_bar_metrics": {},
        "callback_metrics": {},
        "state": SimpleNamespace(fn=TrainerFn.FITTING),
        "fit_loop": SimpleNamespace(
            epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(ready=ready)))
        ),
    }
    return SimpleNamespace(**{**defaults, **more})


def go_to(trainer: Any, ready: int) -> None:
    trainer.fit_loop.epoch_loop.batch_progress.total.ready = ready


TASK: Any = SimpleNamespace()


def test_share_speed_and_remaining_time(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(False), training(), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.now += 40
    go_to(trainer, 20)  # of 200: half a batch a second, so 360 s for 180
    bar.on_train_batch_end(trainer, TASK)
    assert time.lines() == ["epoch 1/4: 10 %, 00:40 elapsed, 06:00 left,  2.00s/ batches"]
    assert time.num_flushed == 1  # whoever follows the file sees it at once
    time.now += 60
    go_to(trainer, 150)  # the mean of all so far: 1.5 a second, so 33 s for 50
    trainer.current_epoch = 2
    bar.on_train_batch_end(trainer, TASK)
    assert time.lines() == ["epoch 3/4: 75 %, 01:40 elapsed, 00:33 left,  1.50 batches/s"]


def test_a_resumed_bar_counts_its_own_time_alone(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(False), training(100, current_epoch=2), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.now += 30
    go_to(trainer, 160)  # 60 batches in 30 s, not 160
    bar.on_train_batch_end(trainer, TASK)
    assert time.lines() == ["epoch 3/4: 80 %, 00:30 elapsed, 00:20 left,  2.00 batches/s"]


@pytest.mark.parametrize(("is_terminal", "seconds"), [(False, 30.0), (True, 0.25)])
def test_it_is_redrawn_after_an_interval(is_terminal: bool, seconds: float, clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(is_terminal), training(), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.lines()
    shown = []
    for _ in range(16):
        time.now += seconds / 4
        bar.on_train_batch_end(trainer, TASK)
        shown.append(len(time.lines()))
    assert shown == [0, 0, 0, 1] * 4


def test_a_terminal_shows_the_same(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(True), training(), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    assert time.lines() == ["epoch:   0% 00:00<?, ? batches/s"]
    time.now += 40
    go_to(trainer, 20)
    bar.on_train_batch_end(trainer, TASK)
    assert time.lines()[-1] == "epoch 1/4:  10% 00:40<06:00,  2.00s/ batches"
    time.now += 60
    trainer.current_epoch = 4
    go_to(trainer, 200)
    bar.on_train_end(trainer, TASK)
    assert time.lines()[-1] == "epoch 4/4: 100% 01:40<00:00,  2.00 batches/s"
    time.now += 100
    bar.on_train_batch_end(trainer, TASK)  # it is over
    assert time.lines() == []


def test_a_bar_is_as_wide_as_the_terminal(clock: Callable[[bool], Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    widths = [100]
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (widths[-1], 24))
    time, trainer, bar = clock(True), training(), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    widths.append(60)
    time.now += 1
    bar.on_train_batch_end(trainer, TASK)
    assert [len(line.strip()) for line in time.out.getvalue().split("\r")[1:]] == [100, 60]
    bar.on_train_end(trainer, TASK)


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({}, "10 %"),
        ({"max_steps": 40}, "50 %"),
        ({"max_steps": 40, "accumulate_grad_batches": 2}, "25 %"),
        ({"max_steps": 1, "accumulate_grad_batches": 80}, "25 %"),
        ({"max_steps": 400}, "10 %"),  # epochs end before
        ({"max_steps": 80, "max_epochs": None}, "25 %"),
        ({"max_steps": 80, "max_epochs": -1}, "25 %"),
        ({"max_epochs": 1}, "40 %"),
    ],
)
def test_the_end_is_that_which_comes_first(given: dict[str, Any], share: str, clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(False), training(**given), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.now += 30
    go_to(trainer, 20)
    bar.on_train_batch_end(trainer, TASK)
    (line,) = time.lines()
    assert f": {share}, 00:30 elapsed, " in line
    assert line.startswith("epoch 1/" if (trainer.max_epochs or 0) > 0 else "epoch 1:")


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("given", [{"max_epochs": -1}, {"num_training_batches": float("inf")}])
def test_a_run_without_an_end(given: dict[str, Any], is_terminal: bool, clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(is_terminal), training(**given), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.now += 30
    go_to(trainer, 60)
    bar.on_train_batch_end(trainer, TASK)
    assert time.lines()[-1].split(": ")[1] == "60 batches, 00:30 elapsed,  2.00 batches/s"


def test_losses_and_what_is_watched(clock: Callable[[bool], Clock]) -> None:
    metrics = {"val/accuracy": torch.tensor(0.123456), "val/f1": torch.tensor(0.5)}
    trainer = training(progress_bar_metrics={"train/loss": 12345.678}, callback_metrics=metrics)
    time, bar = clock(False), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    time.now += 30
    bar.on_train_batch_end(trainer, SimpleNamespace(monitor="val/accuracy"))  # type: ignore[arg-type]
    (line,) = time.lines()
    assert line.split("?")[2] == " batches/s, train/loss=1.235e+04, val/accuracy=0.1235"


def test_a_validation_within_training_keeps_the_bar(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(False), training(), ClockedProgressBar()
    trainer.sanity_checking = True
    bar.on_train_start(trainer, TASK)
    time.now += 30
    bar.on_validation_start(trainer, TASK)
    bar.on_validation_batch_end(trainer, TASK)
    assert time.lines() == []
    trainer.sanity_checking, trainer.validating = False, True
    go_to(trainer, 50)
    bar.on_validation_start(trainer, TASK)
    bar.on_validation_batch_end(trainer, TASK)
    bar.on_validation_end(trainer, TASK)
    trainer.validating = False
    time.now += 30
    go_to(trainer, 60)
    bar.on_train_batch_end(trainer, TASK)
    assert [line.split(",  ")[0] for line in time.lines()] == [
        "epoch 1/4, validation: 25 %, 00:30 elapsed, 01:30 left",
        "epoch 1/4: 30 %, 01:00 elapsed, 02:20 left",
    ]


STAGES = {
    TrainerFn.VALIDATING: ("validation", "val"),
    TrainerFn.TESTING: ("test", "test"),
    TrainerFn.PREDICTING: ("predict", "predict"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_counts_the_batches_of_all_loaders(stage: TrainerFn, clock: Callable[[bool], Clock]) -> None:
    hook, loaders = STAGES[stage]
    trainer = training(state=SimpleNamespace(fn=stage))
    setattr(trainer, f"num_{loaders}_batches", [30, 10])
    time, bar = clock(False), ClockedProgressBar()
    getattr(bar, f"on_{hook}_start")(trainer, TASK)
    for _ in range(10):
        time.now += 4
        getattr(bar, f"on_{hook}_batch_end")(trainer, TASK)
    name = "prediction" if hook == "predict" else hook
    assert time.lines() == [f"{name}: 20 %, 00:32 elapsed, 02:08 left,  4.00s/ batches"]
    getattr(bar, f"on_{hook}_end")(trainer, TASK)
    time.now += 100
    getattr(bar, f"on_{hook}_batch_end")(trainer, TASK)
    assert time.lines() == []


def test_it_can_be_disabled_and_enabled(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(False), training(), ClockedProgressBar()
    bar.disable()
    bar.on_train_start(trainer, TASK)
    time.now += 100
    bar.on_train_batch_end(trainer, TASK)
    bar.on_train_end(trainer, TASK)
    assert time.lines() == []
    bar.enable()
    bar.on_train_start(trainer, TASK)
    bar.on_train_end(trainer, TASK)
    assert len(time.lines()) == 1


def test_an_error_ends_the_line_of_the_bar_and_prints_go_above(clock: Callable[[bool], Clock]) -> None:
    time, trainer, bar = clock(True), training(), ClockedProgressBar()
    bar.on_train_start(trainer, TASK)
    bar.print("one", 2)
    assert "one 2\n" in time.out.getvalue()
    bar.on_exception(trainer, TASK, RuntimeError())
    assert time.out.getvalue().endswith("\n")


def test_a_bar_that_fails_ends_nothing(clock: Callable[[bool], Clock], caplog: pytest.LogCaptureFixture) -> None:
    time, trainer, bar = clock(False), training(), ClockedProgressBar()

    def full(text: str) -> int:
        raise OSError(28, "No space left on device")

    time.out.write = full  # type: ignore[method-assign]
    bar.on_train_start(trainer, TASK)
    time.now += 30
    bar.on_train_batch_end(trainer, TASK)
    bar.print("anything")
    bar.on_train_end(trainer, TASK)
    reason = "OSError: [Errno 28] No space left on device"
    assert caplog.messages == [
        f"left out from here on: the callback ClockedProgressBar: {reason}",
        f"left out from here on: print: {reason}",
    ]

"""What a run directory holds, when it is entered, and what becomes of one that cannot be written."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import Timeout
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.callbacks import RunDirectory
from lightning_template.engine.callbacks import run_directory
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.runs.directories import read_json


def trainer_of(fn: TrainerFn, **changed: Any) -> Any:
    strategy = SimpleNamespace(broadcast=lambda value: value)
    profiler = SimpleNamespace(dirpath="elsewhere")
    state = {"fast_dev_run": False, "is_global_zero": True, "strategy": strategy, "profiler": profiler, "loggers": []}
    state |= {"current_epoch": 0, "global_step": 0, "callback_metrics": {}, "ckpt_path": None}
    return SimpleNamespace(**state | {"state": SimpleNamespace(fn=fn), "default_root_dir": "root"} | changed)


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("is_new", [True, False])
def test_where_nothing_can_be_written_what_was_there_stays(
    is_new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "lightning_logs" / "x" / "version_0"
    if not is_new:
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
    monkeypatch.setattr(run_directory, "write_text", refuse)
    directory = RunDirectory(tmp_path, "x", {"config.yaml": ""}, run=None if is_new else run)
    module: Any = None
    where = tmp_path / "lightning_logs" if is_new else run
    with pytest.raises(ValueError, match=f"^cannot write into {where}: No space left on device$"):
        directory.on_fit_start(trainer_of(TrainerFn.FITTING), module)
    assert run.exists() != is_new
    assert directory.run == (None if is_new else run)
    assert directory._held is not None
    assert directory._held.is_locked != is_new  # until the exception gets to the callback
    directory.on_exception(trainer_of(TrainerFn.FITTING), module, ValueError())
    assert not directory._held.is_locked


@pytest.mark.parametrize("fn", [TrainerFn.FITTING, TrainerFn.TESTING])
@pytest.mark.parametrize("is_new", [True, False])
def test_only_training_and_a_new_run_are_explained(is_new: bool, fn: TrainerFn, tmp_path: Path) -> None:
    run = tmp_path / "lightning_logs" / "x" / "version_0"
    if not is_new:
        run.mkdir(parents=True)
    directory = RunDirectory(tmp_path, "x", {"config.yaml": "a: 1\n"}, None if is_new else run, tensorboard=False)
    module: Any = None
    directory.on_fit_start(trainer_of(fn), module)
    directory.teardown(trainer_of(fn), module, "fit")
    written = {path.name for path in run.iterdir()}
    explained = {"config.yaml", "environment.json"} if is_new or fn == TrainerFn.FITTING else set()
    assert written - {".lock"} == explained | ({"state.json"} if fn == TrainerFn.FITTING else set())


def test_a_directory_that_was_replaced_is_not_written_into(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "x", {}, tensorboard=False)
    module: Any = None
    trainer = trainer_of(TrainerFn.FITTING, current_epoch=0, global_step=3, callbacks=[directory])
    directory.on_fit_start(trainer, module)
    run = directory.run
    assert run is not None
    assert directory.place() == run_directory.run_directory(trainer) == run
    run.rename(run.with_name("moved"))
    run.mkdir()
    for hook in (directory.on_train_epoch_end, directory.on_fit_end):
        with pytest.raises(FileNotFoundError, match="was deleted, moved or replaced"):
            hook(trainer, module)
    assert list(run.iterdir()) == []
    error = RuntimeError()
    trainer.loggers = ["a logger"]
    directory.on_exception(trainer, module, error)
    assert directory.gone is not None
    assert trainer.loggers == []
    assert not hasattr(error, "__notes__")
    directory.place()  # let go of
    assert list(run.iterdir()) == []


@pytest.mark.parametrize(("given", "expected"), [(None, "run"), ("root", "run"), ("mine", "mine")])
def test_a_profile_goes_into_the_run_unless_somebody_chose(given: str | None, expected: str, tmp_path: Path) -> None:
    trainer = trainer_of(TrainerFn.TESTING, profiler=SimpleNamespace(dirpath=given))
    directory = RunDirectory(tmp_path, "x", {}, tensorboard=False)
    module: Any = None
    directory.on_test_start(trainer, module)
    assert trainer.profiler.dirpath == (directory.run if expected == "run" else expected)


@pytest.mark.parametrize("field", ["fast_dev_run", "is_global_zero"])
def test_a_trial_and_other_ranks_create_nothing(field: str, tmp_path: Path) -> None:
    trainer = trainer_of(TrainerFn.FITTING, fast_dev_run=field == "fast_dev_run", is_global_zero=False)
    trainer.strategy.broadcast = lambda value: tmp_path / "of the first"
    directory = RunDirectory(tmp_path, "x", {}, tensorboard=False)
    module: Any = None
    directory.on_fit_start(trainer, module)
    assert directory.run == (None if field == "fast_dev_run" else tmp_path / "of the first")
    assert list(tmp_path.iterdir()) == []


class Clock:
    """A clock that goes on when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(run_directory, "time", clock)
    return clock


def test_the_state_says_how_far_a_run_is_and_goes_on_when_it_is_resumed(clock: Clock, tmp_path: Path) -> None:
    module: Any = None
    trainer = trainer_of(TrainerFn.FITTING)
    directory = RunDirectory(tmp_path, "x", {}, tensorboard=False, marks={"job": "7"})
    directory.on_fit_start(trainer, module)
    run = directory.run
    assert run is not None
    file = run / "state.json"
    state = read_json(file)
    started = state["started"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", started)
    assert state == {"state": "running", "started": started, "seconds": 0.0, "error": None, "job": "7"}
    clock.now += 12.34
    trainer.global_step = 5
    directory.on_train_epoch_end(trainer, module)
    how_far = {"epochs": 1, "steps": 5, "seconds": 12.3}
    assert read_json(file) == state | how_far
    clock.now += 1
    trainer.current_epoch = 1
    trainer.callback_metrics = {"val/loss": torch.tensor(0.5), "loss": torch.tensor(torch.inf)}
    directory.on_fit_end(trainer, module)
    assert read_json(file) == state | how_far | {"state": "finished", "seconds": 13.3}
    assert read_json(run / "metrics.json") == {"final": {"val/loss": 0.5, "loss": float("inf")}}
    directory.teardown(trainer, module, "fit")

    for exception, changed in (
        (ValueError("no\nwhere"), {"state": "failed", "error": "no where", "seconds": 15.3}),
        (Stopped(15), {"state": "interrupted", "error": None, "seconds": 17.3}),
    ):
        clock.now += 500
        (run / ".config.yaml.123").touch()  # of a process that was killed
        directory = RunDirectory(tmp_path, "x", {}, run, tensorboard=False)
        directory.on_fit_start(trainer, module)
        assert not (run / ".config.yaml.123").exists()
        clock.now += 2
        directory.on_exception(trainer, module, exception)
        assert read_json(file) == state | how_far | changed
    (run / "state.json").write_text('{"seconds": "many"}')
    directory = RunDirectory(tmp_path, "x", {}, run, tensorboard=False)
    directory.on_fit_start(trainer, module)
    assert read_json(file)["seconds"] == 0.0
    directory.teardown(trainer, module, "fit")


def test_nobody_else_trains_there_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    class Held:
        is_locked = False

        def __init__(self, path: str, timeout: float) -> None:
            asked.append((Path(path).name, timeout))

        def acquire(self) -> None:
            raise Timeout("x")

    monkeypatch.setattr(run_directory, "FileLock", Held)
    module: Any = None
    with pytest.raises(ValueError, match=r"^another process trains in .*version_0$"):
        RunDirectory(tmp_path, "x", {}).on_fit_start(trainer_of(TrainerFn.FITTING), module)
    assert asked == [(".lock", 1)]


@pytest.mark.parametrize("fn", [TrainerFn.FITTING, TrainerFn.TESTING])
@pytest.mark.parametrize("reason", [None, "Permission denied"])
def test_what_is_said_of_an_exception_depends_on_what_ran(
    fn: TrainerFn, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(run_directory, "explain", lambda *args, **options: said.append((*args, options)))
    directory = RunDirectory(tmp_path, "x", {}, tensorboard=False)
    module: Any = None
    trainer, error = trainer_of(fn), ValueError("x")
    directory.on_exception(trainer, module, error)
    assert said == []  # there is no directory yet
    directory._enter(trainer)
    directory._refusal = reason
    monkeypatch.setattr("lightning_template.engine.runs.directories.update_json", refuse)  # a full disk
    trainer.is_global_zero = False
    directory.on_exception(trainer, module, error)
    assert said == []  # the first rank speaks for all
    trainer.is_global_zero = True
    directory.on_exception(trainer, module, error)
    options = {"keep": reason is None, "can_go_on": fn == TrainerFn.FITTING}
    assert said == [(error, directory.run, options)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"loggers": ["a logger"]}, False),
        ({"tensorboard": False}, False),
        ({"refusal": "Permission denied"}, False),
    ],
)
def test_curves_go_into_the_run_where_nobody_else_logs(
    given: Any, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(run_directory, "EventLogger", lambda *args, **options: made.append((args, options)))
    monkeypatch.setattr(run_directory, "refusal", lambda path: given.get("refusal"))
    loops = {"fit_loop": {"epoch_loop.state_dict": {"_batches_that_stepped": 7}}}
    for fn, step in ((TrainerFn.FITTING, 7), (TrainerFn.TESTING, None)):
        trainer = trainer_of(fn, loggers=given.get("loggers", []))
        run = tmp_path if "refusal" in given and fn == TrainerFn.TESTING else None
        directory = RunDirectory(tmp_path, "x", {}, run, tensorboard=given.get("tensorboard", True))
        module: Any = None
        directory.on_load_checkpoint(trainer, module, {"loops": loops})
        made.clear()
        directory.on_validation_start(trainer, module)
        directory.teardown(trainer, module, "fit")
        options = {"name": "", "version": "", "default_hp_metric": False, "purge_step": step}
        is_expected = expected or ("refusal" in given and run is None)
        assert made == ([((directory.run,), options)] if is_expected else [])


@pytest.mark.parametrize(
    ("hook", "fn", "entry"),
    [
        ("on_test_end", TrainerFn.TESTING, "test"),
        ("on_validation_end", TrainerFn.VALIDATING, "validate"),
        ("on_validation_end", TrainerFn.FITTING, None),
    ],
)
def test_metrics_of_an_evaluation_are_kept_with_their_checkpoint(
    hook: str, fn: TrainerFn, entry: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module: Any = None
    trainer = trainer_of(fn, callback_metrics={"a": torch.tensor(0.5)}, ckpt_path=Path("best.ckpt"))
    directory = RunDirectory(tmp_path, "x", {}, tmp_path, tensorboard=False)
    directory._entered = True
    trainer.is_global_zero = False
    getattr(directory, hook)(trainer, module)
    trainer.is_global_zero = True
    directory._refusal = "Permission denied"
    getattr(directory, hook)(trainer, module)
    file = tmp_path / "metrics.json"
    assert not file.exists()
    said = [("lightning_template", 30, f"{file} is not written: Permission denied")]
    assert caplog.record_tuples == (said if entry else [])
    directory._refusal = None
    getattr(directory, hook)(trainer, module)
    assert read_json(file) == ({entry: {"a": 0.5, "checkpoint": "best.ckpt"}} if entry else {})
    trainer.callback_metrics = {"val/Loss": torch.tensor([float("inf")])}
    if entry:
        with pytest.raises(FloatingPointError, match=r"val/Loss is inf, so no metrics are kept"):
            getattr(directory, hook)(trainer, module)
    else:
        getattr(directory, hook)(trainer, module)


def test_files_are_kept_where_a_run_is_or_lightning_logs() -> None:
    trainer: Any = SimpleNamespace(callbacks=[], log_dir="logs", default_root_dir="root")
    assert run_directory.run_directory(trainer) == Path("logs")
    trainer.log_dir = None
    assert run_directory.run_directory(trainer) == Path("root")
    trainer.callbacks = [RunDirectory(Path(), "x", {}, run=Path("run"))]
    assert run_directory.run_directory(trainer) == Path("run")

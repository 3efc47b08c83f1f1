"""The run directory that cannot be written: a new one goes away, and one that was there stays."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.callbacks import RunDirectory
from lightning_template.engine.callbacks import run_directory


def trainer_of(fn: TrainerFn, **changed: Any) -> Any:
    strategy = SimpleNamespace(broadcast=lambda value: value)
    profiler = SimpleNamespace(dirpath="elsewhere")
    state = {"fast_dev_run": False, "is_global_zero": True, "strategy": strategy, "profiler": profiler, "loggers": []}
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

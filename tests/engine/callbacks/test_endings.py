"""What is said and kept of an exception that ended a run."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_template.engine.callbacks import endings
from lightning_template.engine.callbacks.endings import explain
from lightning_template.engine.process.errors import Stopped


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run directory with a checkpoint."""
    monkeypatch.setenv("LIGHTNING_TEMPLATE_LAUNCHER", "")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    return tmp_path


def go_on(run: Path) -> str:
    return f"lightning-template fit --ckpt_path {run}"


@pytest.mark.parametrize(("trained", "has_last"), [(True, True), (True, False), (False, True)])
def test_a_stopped_run_says_how_to_go_on(trained: bool, has_last: bool, run: Path) -> None:
    if not has_last:
        (run / "checkpoints" / "last.ckpt").unlink()
    stopped = Stopped(15, 3)
    explain(stopped, run, keep=True, can_go_on=trained)
    more = f"; to go on: {go_on(run)}" if trained and has_last else ""
    assert stopped.message == f"stopped by SIGTERM after step 3{more}"
    assert not (run / "traceback.txt").exists()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("can_go_on", [True, False])
def test_a_failed_run_keeps_its_traceback(keep: bool, can_go_on: bool, run: Path) -> None:
    error = ValueError("no such thing")
    explain(error, run, keep, can_go_on)
    assert getattr(error, "__notes__", []) == [
        *([f"traceback in {run / 'traceback.txt'}"] if keep else []),
        *([f"to go on from the last checkpoint: {go_on(run)}"] if can_go_on else []),
    ]
    assert (run / "traceback.txt").exists() == keep
    if keep:
        assert (run / "traceback.txt").read_text() == "ValueError: no such thing\n"


def test_a_lack_of_memory_has_its_remedy(run: Path) -> None:
    error = torch.OutOfMemoryError()
    explain(error, run, keep=False, can_go_on=False)
    assert error.__notes__ == ["a smaller `data.batch_size` or `data.eval_batch_size` needs less"]


def test_a_full_disk_keeps_no_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(endings, "write_text", refuse)
    error = ValueError()
    explain(error, run, keep=True, can_go_on=False)
    assert error.__notes__ == ["no traceback could be kept: [Errno 28] No space left on device"]


def test_an_interrupt_is_left_as_it_is(run: Path) -> None:
    error = KeyboardInterrupt()
    explain(error, run, keep=True, can_go_on=True)
    assert not hasattr(error, "__notes__")
    assert not (run / "traceback.txt").exists()

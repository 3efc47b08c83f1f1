"""A run of somebody else, who lets others read it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from test_runs_that_stop import FIT, RUN

from conftest import Command

NOBODY = 65534


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let this process write nothing in a folder; permissions do not stop root, who is somebody else meanwhile."""
    folders = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    is_root = os.geteuid() == 0
    for path in folders:
        path.chmod(0o555)
    if is_root:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError):
            (folder / "file").touch()
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in folders:
            path.chmod(0o755)


@pytest.fixture
def open_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder that every user reaches, as `tmp_path` is not."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        monkeypatch.chdir(folder)
        yield
        monkeypatch.chdir(workspace)


def content(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


@pytest.mark.usefixtures("open_workspace")
def test_a_run_that_can_only_be_read(command: Command) -> None:
    assert command(*FIT, "--trainer.max_epochs=1").status == 0
    args = {stage: [stage, "--ckpt_path", str(RUN)] for stage in ("validate", "test", "predict")}
    expected = {stage: command(*of_stage) for stage, of_stage in args.items()}  # also imports what is imported late
    table = (RUN / "predictions.csv").read_text()
    before = content(RUN)
    for stage in ("validate", "test"):
        with read_only(RUN):
            result = command(*args[stage])
        assert (result.status, result.out) == (0, expected[stage].out), result.err
        message = f"{RUN}/metrics.json is not written: Permission denied"
        assert result.err.splitlines() == [*expected[stage].err.splitlines(), message]
    with read_only(RUN):
        predicted = command(*args["predict"], "--output", "elsewhere.csv")
    assert (predicted.status, predicted.err) == (0, expected["predict"].err)
    assert Path("elsewhere.csv").read_text() == table
    with read_only(RUN):
        refused = command(*args["predict"])
        go_on = command("fit", "--ckpt_path", RUN, "--trainer.max_epochs=2")
    assert refused.status == go_on.status == 2
    assert refused.err.splitlines()[-1] == (
        f"lightning-template: error: cannot write {RUN}/predictions.csv: Permission denied; "
        "name a file elsewhere with --output"
    )
    assert f"cannot write into {RUN}: Permission denied" in go_on.err.splitlines()[-1]
    assert content(RUN) == before
    assert json.loads((RUN / "metrics.json").read_text())["test"]

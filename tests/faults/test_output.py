"""Places where a run cannot write, and a process that dies while it writes."""

import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from injected import limit_files
from test_runs_that_stop import FIT, RUN, curves, inject, load, nothing_is_half_written

from conftest import Command
from lightning_template.engine.runs.digests import is_whole
from lightning_template.engine.runs.directories import unfinished_files


@pytest.mark.parametrize("where", ["/proc/nowhere", "a_file"])
def test_a_place_that_takes_no_files_is_refused_before_training(where: str, command: Command) -> None:
    Path("a_file").touch()
    refused = command(*FIT, f"--trainer.default_root_dir={where}")
    assert refused.status == 2
    assert refused.err.splitlines()[-1].startswith(f"lightning-template: error: cannot write into {where}/lightning_")
    assert "batches" not in refused.out + refused.err  # no progress


def test_a_full_disk_is_refused_before_training(child_command: Command) -> None:
    refused = child_command(*FIT, first=partial(limit_files, 100))
    assert refused.status == 2
    assert "cannot write into lightning_logs: File too large" in refused.err.splitlines()[-1]
    assert "batches" not in refused.out + refused.err  # no progress
    assert not list(RUN.parent.iterdir())


def test_the_temporary_folder_is_not_needed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/proc/nowhere")
        with pytest.raises(FileNotFoundError):
            tempfile.TemporaryFile()  # noqa: SIM115  # fails
        result = command(*FIT)
    assert result.status == 0


def test_out_of_memory(command: Command) -> None:
    failed = command(*FIT, *inject("OutOfMemory", step=13))
    assert failed.status == 1
    last = failed.err.splitlines()[-1]
    assert "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.; a smaller `data.batch_size`" in last
    assert "to go on from the last checkpoint: " in last
    assert last.endswith(f"lightning-template fit --ckpt_path {RUN}")
    assert load()["global_step"] == 12
    assert nothing_is_half_written()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "temporary"),
    [(0.0, "/dev/shm"), (0.5, "/dev/shm"), (1.0, "/dev/shm"), (0.5, "."), (1.0, ".")],  # another device, and the same
)
def test_killed_while_a_checkpoint_is_written(
    share: float, temporary: str, command: Command, child_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", temporary)
        assert child_command(*FIT, *inject("KillInSave", number=6, share=share)).status == -9
    time.sleep(1)  # TensorBoard reads files in the order of their names, which begin with the second
    (part,) = unfinished_files(RUN)
    assert not is_whole(part)  # what torch wrote of it has no digest yet
    assert is_whole(RUN / "checkpoints" / "last.ckpt")
    step = load()["global_step"]
    assert 0 < step < 60
    assert command(*FIT, "--ckpt_path=last", "--trainer.callbacks=null").status == 0
    assert unfinished_files(RUN) == []
    assert command(*FIT, "--trainer.default_root_dir=whole").status == 0
    for name in ("last", "best"):
        for key in ("state_dict", "optimizer_states", "global_step", "epoch"):
            torch.testing.assert_close(load(name)[key], load(name, "whole" / RUN)[key], rtol=0, atol=0)
    assert curves(RUN) == curves("whole" / RUN)


def test_a_child_that_cannot_write_damages_no_byte_code(
    child_command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # PYTHONDONTWRITEBYTECODE may be set here
    (workspace / "long.py").write_text(f"WORDS = {' '.join(map(str, range(2000)))!r}\n")

    def import_with_little_room() -> None:
        limit_files(1000)
        sys.path.insert(0, str(workspace))
        import_module("long")

    assert child_command("--version", first=import_with_little_room).status == 0
    assert [path.name for path in workspace.iterdir()] == ["long.py"]
    with pytest.raises(AssertionError, match="damage"):
        limit_files(1000)  # in this process

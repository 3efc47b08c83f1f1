"""Files that are put in place whole: errors, leftovers of a kill, and a loss of power at any moment."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from lightning_template.callbacks import BestAndLast, RunDirectory
from lightning_template.engine.runs import files
from lightning_template.engine.runs.checkpoints import WholeCheckpointIO
from lightning_template.engine.runs.digests import DamagedError, check_archive, check_text, load_json
from lightning_template.engine.runs.files import HeldFolder, replacing, temporary_path, write_text


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half\ud800")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text(f"half {1 / 0}")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "before")]


def test_what_a_killed_process_left_is_not_written_through(tmp_path: Path) -> None:
    path, other = tmp_path / "a.txt", tmp_path / "other.txt"
    other.write_text("good")
    temporary_path(path).hardlink_to(other)
    write_text(path, "new")
    assert (path.read_text(), other.read_text()) == ("new", "good")


def test_readers_see_the_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with replacing(path) as part:
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_folder_that_went_away_is_noticed(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    held = HeldFolder(folder)
    held.check()
    if how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        folder.rmdir()
    if how == "replaced":
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match="run was deleted, moved or replaced"):
        held.check()
    handle = held._handle
    assert handle is not None
    held.close()
    held.check()  # no longer of interest
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


@pytest.mark.parametrize(
    ("is_folder", "number", "is_told"),
    [
        *((True, number, False) for number in sorted(files._CANNOT_FLUSH_FOLDERS)),
        (True, errno.EIO, True),
        (True, errno.ENOSPC, True),
        (False, errno.EINVAL, True),
        (False, errno.EIO, True),
    ],
)
def test_what_cannot_be_flushed(
    is_folder: bool, number: int, is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.mkdir() if is_folder else path.touch()
    handles: list[int] = []

    def fsync(handle: int) -> None:
        handles.append(handle)
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no") if is_told else nullcontext():
        files.flush(path)
    (handle,) = handles
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


class Entry(NamedTuple):
    number: int
    is_folder: bool


class Disk:
    """What a folder holds after a loss of power, if only what was flushed stays.

    Args:
        root: The folder.
        keeps_names: Whether all names stay, flushed or not: a file system may write them before the contents.
    """

    def __init__(self, root: Path, keeps_names: bool) -> None:
        self.root = root
        self.keeps_names = keeps_names
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, Entry]] = {}
        self.handles: list[int] = []

    def fsync(self, handle: int) -> None:
        self.handles.append(os.dup(handle))  # while it is open, no other file gets its number
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            self.names[status.st_ino] = self._entries(handle)
        else:
            self.contents[status.st_ino] = os.pread(handle, status.st_size, 0)

    def _entries(self, folder: int | Path) -> dict[str, Entry]:
        with os.scandir(folder) as entries:
            return {entry.name: Entry(entry.inode(), entry.is_dir()) for entry in entries}

    def restore(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        self._restore(self.root, self.root.stat().st_ino, target)

    def _restore(self, path: Path, number: int, target: Path) -> None:
        target.mkdir()
        entries = self._entries(path) if self.keeps_names else self.names.get(number, {})
        for name, entry in entries.items():
            if entry.is_folder:
                self._restore(path / name, entry.number, target / name)
            else:
                (target / name).write_bytes(self.contents.get(entry.number, b""))


def check_whole(folder: Path) -> None:
    """Check that each file which a run may need is whole or absent."""
    for path in folder.rglob("[!.]*"):
        if path.suffix == ".ckpt":
            assert check_archive(path)
        elif path.suffix == ".json":
            assert load_json(path.read_bytes())
        elif path.suffix == ".yaml":
            assert path.read_bytes().startswith(b"# sha256: ")
            check_text(path, path.read_bytes())


class LosesPower(Callback):
    """Looks at what a loss of power would leave, after each boundary; `fsync` looks within them."""

    def __init__(self, disk: Disk, target: Path) -> None:
        self.disk = disk
        self.target = target
        self.num_losses = 0

    def fsync(self, handle: int) -> None:
        self.lose()
        self.disk.fsync(handle)
        self.lose()

    def lose(self) -> None:
        self.disk.restore(self.target)
        check_whole(self.target)
        self.num_losses += 1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.lose()
        run = self.target / "lightning_logs" / "line" / "version_0"
        assert sorted(path.name for path in run.glob("[!.]*.*")) == sorted(
            ["config.yaml", "environment.json", "state.json", *(["metrics.json"] if trainer.current_epoch else [])]
        )
        for name, step in (("last", trainer.global_step), ("previous", trainer.global_step - 2)):
            if step > 0:
                path = run / "checkpoints" / f"{name}.ckpt"
                assert torch.load(path, weights_only=True)["global_step"] == step


class Scoring(BoringModel):
    def on_validation_epoch_end(self) -> None:
        self.log("x", -float(self.current_epoch))


@pytest.fixture
def handles() -> Iterator[list[int]]:
    opened: list[int] = []
    yield opened
    for handle in opened:
        os.close(handle)


def train(tmp_path: Path, keeps_names: bool, handles: list[int], monkeypatch: pytest.MonkeyPatch) -> int:
    """Train with a loss of power around each flush, and return how many there were."""
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk", keeps_names)
    disk.handles = handles
    losses = LosesPower(disk, tmp_path / "after")
    monkeypatch.setattr(os, "fsync", losses.fsync)
    run_directory = RunDirectory(tmp_path / "disk", "line", {"config.yaml": "seed: 0\n"}, tensorboard=False)
    Trainer(
        default_root_dir=tmp_path,
        max_epochs=3,
        limit_train_batches=2,
        limit_val_batches=1,
        callbacks=[run_directory, BestAndLast(monitor="x", mode="min"), losses],
        plugins=[WholeCheckpointIO()],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Scoring())
    return losses.num_losses


@pytest.mark.parametrize("keeps_names", [False, True])
def test_a_loss_of_power_takes_nothing_that_was_written(
    keeps_names: bool, tmp_path: Path, handles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(tmp_path, keeps_names, handles, monkeypatch) > 30


@pytest.mark.parametrize("lost", ["contents", "names"])
def test_a_loss_of_power_takes_what_was_not_flushed(
    lost: str, tmp_path: Path, handles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control: without the flushes, the test above fails."""
    flush = files.flush
    monkeypatch.setattr(files, "flush", lambda path: flush(path) if path.is_dir() == (lost == "contents") else None)
    with pytest.raises((AssertionError, DamagedError, FileNotFoundError)):
        train(tmp_path, lost == "contents", handles, monkeypatch)

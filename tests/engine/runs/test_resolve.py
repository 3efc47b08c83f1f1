"""What is meant by a checkpoint: words, files, run directories; what damaged and missing ones are replaced by."""

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_template.engine.runs import directories as runs
from lightning_template.engine.runs.digests import SealedArchive
from lightning_template.engine.runs.resolve import resolve_checkpoint, run_of


def write(path: Path, epoch: int = 0) -> None:
    with SealedArchive(path) as file:
        torch.save({"epoch": epoch}, file)
        file.seal()


def make_run(root: Path, *words: str) -> Path:
    run = runs.create_run(root, "line")
    (run / "config.yaml").touch()
    (run / "checkpoints").mkdir()
    for number, word in enumerate(words):
        write(run / "checkpoints" / f"{word}.ckpt", number)
    return run


def test_words_mean_the_newest_run_that_has_them(tmp_path: Path) -> None:
    first, second = make_run(tmp_path, "best", "last"), make_run(tmp_path, "last")
    assert resolve_checkpoint("best", tmp_path, "line") == first / "checkpoints" / "best.ckpt"
    assert resolve_checkpoint("last", tmp_path, "line") == second / "checkpoints" / "last.ckpt"


def test_a_run_directory_means_what_the_subcommand_prefers_or_what_there_is(tmp_path: Path) -> None:
    first, second = make_run(tmp_path, "best", "last"), make_run(tmp_path, "last")
    assert resolve_checkpoint(str(first), tmp_path, "", prefer="best").stem == "best"
    assert resolve_checkpoint(str(first), tmp_path, "", prefer="last").stem == "last"
    assert resolve_checkpoint(str(second), tmp_path, "", prefer="best").stem == "last"


@pytest.mark.parametrize("where", ["best", "nowhere.ckpt", "lightning_logs/line/version_0"])
def test_nothing_found_is_an_error(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path())
    with pytest.raises(ValueError, match=r"no best|got nowhere\.ckpt|no best\.ckpt or last\.ckpt"):
        resolve_checkpoint(where, Path(), "line")


def test_a_checkpoint_knows_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "last")
    assert run_of(run / "checkpoints" / "last.ckpt") == run
    monkeypatch.chdir(run / "checkpoints")
    assert run_of(Path("last.ckpt")) == run
    assert run_of(tmp_path / "last.ckpt") is None


@pytest.mark.parametrize("as_word", [True, False])
def test_the_one_before_stands_in_for_a_last_that_is_gone(
    as_word: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_run(tmp_path, "last")  # an older run, whose last is not meant
    run = make_run(tmp_path, "best", "previous")
    found = resolve_checkpoint("last" if as_word else str(run), tmp_path, "line", prefer="last")
    assert found == run / "checkpoints" / "previous.ckpt"
    assert caplog.messages == [f"there is no {found.with_stem('last')}: using the one before it, {found}"]
    assert resolve_checkpoint(str(run), tmp_path, "", prefer="best").stem == "best"


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1], lambda content: b"\1" + content])
def test_the_one_before_stands_in_for_a_damaged_last(
    damage: Callable[[bytes], bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = make_run(tmp_path, "last", "previous", "best")
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    assert resolve_checkpoint("last", tmp_path, "line").stem == "previous"
    (message,) = caplog.messages
    assert message.startswith(f"{last} is damaged: ")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged: .*; there is nothing to use instead"):
        resolve_checkpoint(str(last), tmp_path, "")
    best, previous = (run / "checkpoints" / f"{name}.ckpt" for name in ("best", "previous"))
    for file in (best, previous):
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged: .*previous\.ckpt is damaged: "):
        resolve_checkpoint("last", tmp_path, "line")
    with pytest.raises(ValueError, match=r"best\.ckpt is damaged: "):  # a test is of what was asked for, or of nothing
        resolve_checkpoint(str(run), tmp_path, "", prefer="best")


def test_a_checkpoint_of_another_program_has_no_digest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({}, path)
    assert resolve_checkpoint(str(path), tmp_path, "") == path
    assert caplog.messages == [f"{path} has no digest, so only its checksums were checked"]


def test_a_good_checkpoint_needs_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = make_run(tmp_path, "last", "previous")
    assert resolve_checkpoint(str(run), tmp_path, "").stem == "last"
    assert caplog.messages == []


def test_a_checkpoint_that_may_not_be_read_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "last", "previous")

    def refuse(*args: object, **kwargs: object) -> io.BufferedReader:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"cannot read .*last\.ckpt: Permission denied"):
        resolve_checkpoint(str(run), tmp_path, "", prefer="last")


@pytest.mark.parametrize("where", ["last", "run", "file"])
@pytest.mark.parametrize("left", ["state.json", "environment.json", "overrides.yaml"])
def test_a_run_without_its_configuration_is_refused(where: str, left: str, tmp_path: Path) -> None:
    make_run(tmp_path, "last")
    run = make_run(tmp_path, "last")
    (run / "config.yaml").unlink()
    (run / left).touch()
    meant = {"last": "last", "run": str(run), "file": str(run / "checkpoints" / "last.ckpt")}[where]
    with pytest.raises(ValueError, match=r"version_1 has no config\.yaml"):
        run_of(resolve_checkpoint(meant, tmp_path, "line"))


def test_a_folder_of_checkpoints_alone_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    write(tmp_path / "checkpoints" / "last.ckpt")
    assert run_of(resolve_checkpoint(str(tmp_path / "checkpoints" / "last.ckpt"), tmp_path, "")) is None
    with pytest.raises(ValueError, match=r"has no config\.yaml"):
        resolve_checkpoint(str(tmp_path), tmp_path, "")

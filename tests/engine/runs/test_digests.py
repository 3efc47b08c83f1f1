"""Digests: each change of one bit, and each loss of the end, of what a run writes."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_template.engine.runs import digests
from lightning_template.engine.runs.digests import DamagedError, SealedArchive, check_archive, is_whole
from lightning_template.engine.runs.resolve import resolve_checkpoint

CONTENT = {"state_dict": {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(3)}, "epoch": 3, "name": "a"}


def write(path: Path, content: object = CONTENT) -> None:
    with SealedArchive(path) as file:
        torch.save(content, file)
        file.seal()


def load(path: Path, mmap: bool) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def damaged(path: Path) -> Iterator[str]:
    """Have each bit of a file change, and then each of its ends be lost; leave the file empty."""
    content = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(content):
            for bit in range(8):
                file.seek(position)
                file.write(bytes([byte ^ 1 << bit]))
                yield f"bit {bit} of byte {position}"
            file.seek(position)
            file.write(bytes([byte]))
        for size in reversed(range(len(content))):
            file.truncate(size)
            yield f"the first {size} bytes"


def is_same(content: Any) -> bool:
    return repr(content) == repr(CONTENT)


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_reads_what_has_a_digest(mmap: bool, tmp_path: Path) -> None:
    large = {"weight": torch.arange(1_000_000.0), "bias": torch.tensor(2.0), "empty": torch.zeros(0)}
    write(tmp_path / "a.ckpt", large)
    assert check_archive(tmp_path / "a.ckpt")
    torch.testing.assert_close(load(tmp_path / "a.ckpt", mmap), large, rtol=0, atol=0)


def test_a_copy_has_the_digest_too(tmp_path: Path) -> None:
    write(tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes((tmp_path / "a.ckpt").read_bytes())
    assert check_archive(tmp_path / "b.ckpt")


def test_each_change_of_a_checkpoint_is_seen(tmp_path: Path) -> None:
    write(tmp_path / "a.ckpt")
    assert check_archive(tmp_path / "a.ckpt")
    assert [what for what in damaged(tmp_path / "a.ckpt") if is_whole(tmp_path / "a.ckpt")] == []


@pytest.mark.slow
def test_the_one_before_stands_in_for_each_damaged_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").touch()
    last, previous = (tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    write(last)
    write(previous)
    caplog.set_level("ERROR")
    wrong = [what for what in damaged(last) if resolve_checkpoint(str(tmp_path), tmp_path, "", "last") != previous]
    assert wrong == []


def test_a_changed_number_is_seen_without_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(CONTENT, path)
    path.write_bytes(path.read_bytes().replace(struct.pack("<2f", 4, 5), struct.pack("<2f", 4, 6)))
    with pytest.raises(DamagedError, match=r"the checksum of .*data/0 does not match"):
        check_archive(path)


def test_a_tensor_marked_as_a_folder_is_seen_without_a_digest(tmp_path: Path) -> None:
    """Neither Python's check of an archive nor torch sees it, and torch leaves the tensor's memory as it is."""
    path = tmp_path / "a.ckpt"
    torch.save(CONTENT, path)
    assert not check_archive(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2", 0, content.rindex(b"data/0"))
    content[entry + 38] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="data/0 is marked as a folder"):
        check_archive(path)


@pytest.mark.slow
def test_no_change_of_a_checkpoint_without_a_digest_changes_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(CONTENT, path)
    wrong, num_accepted = [], 0
    for what in damaged(path):
        if not is_whole(path):
            continue
        num_accepted += 1
        for mmap in (False, True):
            try:
                content = load(path, mmap)
            except Exception:  # what torch refuses does no harm
                continue
            wrong += [] if is_same(content) else [what]
    assert wrong == []
    assert num_accepted > 0  # which is why there are digests


def test_an_archive_with_a_comment_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(CONTENT, path)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + b"\5\0hello")
    with pytest.raises(DamagedError, match="does not end as a checkpoint does"):
        check_archive(path)


@pytest.mark.parametrize("content", [b"", b"sha256:", b"hello", b"sha256:" + b"0" * 64, b"PK\5\6" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    if content.startswith(b"PK"):  # an empty archive, which torch refuses
        assert not check_archive(tmp_path / "a.ckpt")
    else:
        with pytest.raises(DamagedError, match=r"a\.ckpt is damaged: "):
            check_archive(tmp_path / "a.ckpt")


def test_only_an_archive_is_sealed(tmp_path: Path) -> None:
    with SealedArchive(tmp_path / "a.ckpt") as file:
        file.write(b"x" * 100)
        with pytest.raises(OSError, match="does not end as a ZIP archive does"):
            file.seal()


@pytest.mark.parametrize("sizes", [(1,), (5,), (21, 1), (22,), (23, 3), (100, 1, 50)])
def test_pieces_of_any_size_give_the_same_file(sizes: tuple[int, ...], tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "plain.ckpt")
    content = (tmp_path / "plain.ckpt").read_bytes()
    write(tmp_path / "whole.ckpt")
    with SealedArchive(tmp_path / "pieces.ckpt") as file:
        position, number = 0, 0
        while position < len(content):
            position += file.write(content[position : position + sizes[number % len(sizes)]])
            number += 1
        file.seal()
    assert check_archive(tmp_path / "pieces.ckpt")
    assert (tmp_path / "pieces.ckpt").read_bytes()[: len(content) - 2] == content[:-2]


TEXT = "seed_everything: 0\nmodel:\n  class_path: a.B\n  lr: 0.1\n"


def test_each_change_of_a_configuration_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(digests.sign_text(TEXT))
    digests.check_text(path, path.read_bytes())
    assert yaml.safe_load(path.read_bytes()) == yaml.safe_load(TEXT)
    unseen = []
    for what in damaged(path):
        try:
            digests.check_text(path, path.read_bytes())
        except DamagedError:
            continue
        unseen += [what]
    is_empty = [yaml.safe_load(digests.sign_text(TEXT)[: int(what.split()[2])]) is None for what in unseen]
    assert all(is_empty)  # a few bytes of the comment, which no command takes for a configuration
    assert len(unseen) == len("# sha256: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT,
        "# a comment\n" + TEXT,
        "# as before\n" + digests.sign_text(TEXT),
        f"# of data with sha256 {'0' * 64}\n",
    ],
)
def test_a_configuration_without_a_digest_is_taken(text: str, tmp_path: Path) -> None:
    digests.check_text(tmp_path / "a.yaml", text.encode())


def test_a_change_on_purpose_is_allowed_by_deleting_the_line(tmp_path: Path) -> None:
    edited = digests.sign_text(TEXT).replace("0.1", "0.2")
    with pytest.raises(DamagedError, match="if you changed it on purpose, delete that line"):
        digests.check_text(tmp_path / "a.yaml", edited.encode())
    digests.check_text(tmp_path / "a.yaml", edited.partition("\n")[2].encode())


ENTRIES: dict[str, Any] = {"best": {"score": 0.25, "epoch": 1}, "state": "running", "error": None, "list": [1, 2.5]}


def test_each_change_of_an_entry_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(digests.dump_json(ENTRIES))
    wrong = []
    for what in damaged(path):
        try:
            content = digests.load_json(path.read_bytes())
        except ValueError:
            continue
        extra = content.keys() - ENTRIES.keys()  # where the name of the digest was changed
        wrong += [what] if {**content, **ENTRIES} != content or len(extra) > 1 else []
    assert wrong == []


ODD: dict[str, Callable[[], dict[str, Any]]] = {
    "numbers": lambda: {"a": float("nan"), "b": float("-inf"), "c": 1e300, "d": 2**70},
    "names": lambda: {"é": "ü", "": 1, "x": {"z": 1, "a": 2}},
    "nothing": lambda: {},
}


@pytest.mark.parametrize("entries", ODD.values(), ids=ODD)
def test_entries_come_back(entries: Callable[[], dict[str, Any]]) -> None:
    assert repr(digests.load_json(digests.dump_json(entries()))) == repr(entries())


def test_another_layout_of_the_same_entries_is_the_same() -> None:
    loaded = json.loads(digests.dump_json(ENTRIES))
    assert digests.load_json(json.dumps(dict(reversed(loaded.items())))) == ENTRIES
    assert digests.load_json(json.dumps(ENTRIES)) == ENTRIES  # without a digest


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, b"\xff", '{"sha256": 3}'])
def test_what_holds_no_entries_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        digests.load_json(text)

"""Digests of what a run writes. Each lies within its file, so that copies of the file keep it. Imports no torch.

| file | where its SHA-256 is | of what |
|---|---|---|
| checkpoint | comment at the end of the ZIP archive | all bytes before |
| YAML | comment in the first line | all bytes after that line |
| JSON | entry `sha256` | the other entries, as `json.dumps` sorts them |

A file without one was written by an older version, another program or a person. It is used all the same.
"""

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

_TRAILER = re.compile(rb"sha256:[0-9a-f]{64}")
_TRAILER_SIZE = 71
_END_SIZE = 22
_END_SIGNATURE = b"PK\5\6"
_IS_FOLDER = 0x10  # bit of a ZIP entry's attributes: torch leaves the memory of such a tensor as it is

_TEXT_DIGEST = re.compile(rb"# sha256: ([0-9a-f]{64})")
_LIKE_TEXT_DIGEST = re.compile(rb"# sha256: |.{10}[0-9a-f]{64}", re.DOTALL)  # one of its two parts is damaged

_ENTRY = "sha256"


class DamagedError(ValueError):
    """A file that does not hold what was written."""


class SealedArchive(io.BufferedWriter):
    """A ZIP archive with a digest of itself at its end: pass it to `torch.save`, then call `seal`.

    The digest is of what was to be written, so that a check of the file also finds what the disk did to it.

    Args:
        path: File to write. None may be there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "xb"))
        self._digest = hashlib.sha256()
        self._end = b""  # the last bytes so far: those of the archive say how long its comment is

    def write(self, data: Any) -> int:
        """Write bytes of the archive."""
        new = memoryview(data).cast("B")
        if len(new) >= _END_SIZE:
            self._hash_and_write(self._end)
            self._hash_and_write(new[:-_END_SIZE])
            self._end = bytes(new[-_END_SIZE:])
        else:
            end = self._end + bytes(new)
            self._hash_and_write(end[:-_END_SIZE])
            self._end = end[-_END_SIZE:]
        return len(new)

    def seal(self) -> None:
        """Write the end of the archive, and the digest as its comment.

        Raises:
            OSError: If what was written is not a ZIP archive without a comment.
        """
        if not _is_end(self._end):
            raise OSError("what was written does not end as a ZIP archive does")
        self._hash_and_write(self._end[:-2] + struct.pack("<H", _TRAILER_SIZE))
        super().write(b"sha256:" + self._digest.hexdigest().encode())

    def _hash_and_write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        super().write(data)


def check_archive(path: Path) -> bool:
    """Check that a checkpoint holds what was written.

    Args:
        path: A ZIP archive: all that torch writes since version 1.6.

    Returns:
        Whether the file has a digest. Otherwise only the checksums of its parts could be checked, which do not cover
        every byte.

    Raises:
        DamagedError: If it holds something else, or cannot be read to its end.
        ValueError: If this process may not read it.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - _TRAILER_SIZE))
            trailer = file.read()
            if _TRAILER.fullmatch(trailer) is None:
                _check_parts(file, size)
                return False
            if _digest(file, size - _TRAILER_SIZE) != trailer[-64:].decode():
                raise DamagedError("its content does not match its digest")
            return True
    except PermissionError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # reading damaged bytes has many ways to fail, and so has a damaged disk
        raise DamagedError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint holds what was written, as `check_archive` finds out."""
    try:
        check_archive(path)
    except ValueError:
        return False
    return True


def _digest(file: BinaryIO, size: int) -> str:
    """Return the digest of the first bytes of a file, without holding them in memory."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    file.seek(0)
    while size > 0 and (count := file.readinto(buffer[:size])):  # type: ignore[attr-defined]  # typeshed lacks it
        digest.update(buffer[:count])
        size -= count
    return digest.hexdigest()


def _is_end(end: bytes) -> bool:
    """Tell whether these are the last bytes of a ZIP archive without a comment."""
    return len(end) == _END_SIZE and end.startswith(_END_SIGNATURE) and end.endswith(b"\0\0")


def _check_parts(file: BinaryIO, size: int) -> None:
    """Check an archive without a digest.

    Raises:
        DamagedError: If its end, its directory or a checksum in it is wrong.
    """
    file.seek(max(0, size - _END_SIZE))
    end = file.read()
    if not _is_end(end):
        raise DamagedError("it does not end as a checkpoint does")
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        num_entries = min(len(entries), 0xFFFF)
        if struct.unpack("<HH", end[8:12]) != (num_entries, num_entries) or len({*archive.namelist()}) < len(entries):
            raise DamagedError("its directory is wrong")
        for entry in entries:
            if entry.is_dir() or entry.external_attr & _IS_FOLDER:
                raise DamagedError(f"{entry.filename} is marked as a folder")
            if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
                raise DamagedError(f"{entry.filename} has a wrong size")
        if (name := archive.testzip()) is not None:
            raise DamagedError(f"the checksum of {name} does not match")


def sign_text(text: str) -> str:
    """Return a YAML text with its digest in the first line."""
    return f"# sha256: {hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def check_text(path: Path, content: bytes) -> None:
    """Check the content of a YAML file against the digest in its first line, if there is one.

    Raises:
        DamagedError: If it differs, or the line is damaged.
    """
    first, _, rest = content.partition(b"\n")
    digest = _TEXT_DIGEST.fullmatch(first)
    is_right = digest is not None and hashlib.sha256(rest).hexdigest().encode() == digest[1]
    if not is_right and _LIKE_TEXT_DIGEST.match(first):
        raise DamagedError(
            f"{path} is damaged: its content does not match the sha256 in its first line; "
            "if you changed it on purpose, delete that line"
        )


def dump_json(entries: Mapping[str, Any]) -> str:
    """Return entries as JSON, with their digest."""
    return json.dumps({**entries, _ENTRY: _digest_of(entries)}, indent=2) + "\n"


def load_json(content: str | bytes) -> dict[str, Any]:
    """Return the entries of what `dump_json` returned, or of other JSON.

    Raises:
        ValueError: If it is not the JSON of an object, or does not match its digest.
    """
    try:
        entries = json.loads(content)
    except RecursionError as error:
        raise DamagedError("nested too deeply") from error
    if not isinstance(entries, dict):
        raise DamagedError(f"must hold entries, got {type(entries).__name__}")
    digest = entries.pop(_ENTRY, None)
    if digest is not None and digest != _digest_of(entries):
        raise DamagedError("the content does not match its digest")
    return entries


def _digest_of(entries: Mapping[str, Any]) -> str:
    sortable = json.loads(json.dumps(entries))  # keys become texts, which can be sorted
    return hashlib.sha256(json.dumps(sortable, sort_keys=True).encode()).hexdigest()

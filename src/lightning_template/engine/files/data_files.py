"""Checks and digests of files that data are read from."""

import difflib
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

MAX_HASHED_BYTES = 2**31
"""Total size of files above which only names and sizes go into their digest: reading them would take minutes."""

_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}

_REMEDY = "create it again, or copy it again from its source"


def check_regular(path: str | Path) -> None:
    """Check that a path is of a regular file: opening a FIFO would wait for a writer.

    Raises:
        ValueError: If it is something else, or nothing.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)  # noqa: PTH116  # os's takes text too: half the time, for many images
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if kind != stat.S_IFREG:
        raise ValueError(f"{path} must be a regular file, got a {_KINDS.get(kind, 'special file')}")


def check_archive(path: Path) -> None:
    """Verify the checksums in a zip archive, which `.pt` and `.npz` files are; torch does not look at them.

    Raises:
        ValueError: If what the archive holds is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch reads nothing into the memory of a part that is marked as a folder
            damaged = next((info.filename for info in archive.infolist() if info.external_attr & 0x10), None)
            damaged = damaged or archive.testzip()
    except Exception as error:  # altered bytes raise any kind of them
        raise ValueError(f"{path} must be a whole file from `torch.save` or `numpy.savez`: {error}") from error
    if damaged:
        raise ValueError(f"{path} is damaged: the checksum of its part {damaged} does not match; {_REMEDY}")


class DataDigest(NamedTuple):
    """A digest that changes with the content of files.

    Attributes:
        path: File or folder.
        digest: sha256 in hexadecimal digits; the functions below say of which bytes.
    """

    path: str
    digest: str


def digest_of_file(path: Path) -> DataDigest:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return DataDigest(str(path), hashlib.file_digest(file, "sha256").hexdigest())


def digest_of_archive(path: Path) -> DataDigest:
    """Return the digest of names, sizes and checksums in a zip archive that `check_archive` has verified.

    It takes no time, where that of the bytes would take as long as reading a file that may be larger than memory.
    """
    with zipfile.ZipFile(path) as archive:
        parts = [(part.filename, part.file_size, part.CRC) for part in archive.infolist()]
    return DataDigest(str(path), hashlib.sha256(repr(parts).encode()).hexdigest())


def digest_of_folder(folder: Path, files: Sequence[str], with_content: bool) -> DataDigest:
    """Return the digest of files in a folder, each with its name, its size and, if asked for, its content."""
    digest = hashlib.sha256()
    for file in map(Path, files):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        if with_content:
            digest.update(file.read_bytes())
    return DataDigest(str(folder), digest.hexdigest())


def not_found(path: Path, kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for a name that a file does not have, which says what it has."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {near[0]!r}? It" if near else "; it"
    return ValueError(f"{path} has no {kind} {name!r}{hint} has {', '.join(map(repr, names))}")

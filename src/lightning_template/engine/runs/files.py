"""Files that are whole or absent, also after a loss of power. Imports no torch."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CANNOT_FLUSH_FOLDERS = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP, errno.EPERM}
"""Errors by which Windows and some network file systems say so."""


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Have a file written beside its place, and put it there if the block ends without an error.

    Args:
        path: The file. Who reads it sees the old content or the new, never a part.
        part: Where to write, on the same file system; `temporary_path(path)` if not given.

    Yields:
        Where to write. Nothing is there.
    """
    part = part or temporary_path(path)
    part.unlink(missing_ok=True)  # of a killed process; it may be a second name of a good file
    try:
        yield part
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)  # a rename does nothing where both names are of one file


def temporary_path(path: Path) -> Path:
    """Return where this process writes a file before it is put in place."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def put_in_place(part: Path, path: Path) -> None:
    """Give a written file its name: first its content is on the disk, then its name."""
    flush(part)
    part.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until the disk holds the content of a file, or the names in a folder."""
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not is_folder or error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, so that a loss of power does not take them away."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)


class HeldFolder:
    """A folder that a process writes into, and that somebody may delete, move or replace meanwhile.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        with suppress(OSError):  # Windows opens no folders
            self._handle = os.open(path, os.O_RDONLY)  # while it is open, no other folder gets its number

    def check(self) -> None:
        """Check that the folder is where it was.

        Raises:
            FileNotFoundError: If it is not.
        """
        try:
            is_there = self._handle is None or os.path.samestat(os.fstat(self._handle), self.path.stat())
        except OSError:
            is_there = False
        if not is_there:
            raise FileNotFoundError(f"{self.path} was deleted, moved or replaced while this process wrote into it")

    def close(self) -> None:
        """Let go of the folder."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def write_text(path: Path, text: str) -> None:
    """Write a text file in place of what is there."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def refusal(folder: Path) -> str | None:
    """Return why this process can write no file into a folder; None if it can.

    Permissions alone do not tell: a file system may be read-only, or full.
    """
    part = temporary_path(folder / "refusal")
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None

"""Checks of files that data are read from, before and beside reading them."""

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def check_regular(path: str | Path) -> None:
    """Check that a path is of a regular file: opening a FIFO would wait for somebody who writes into it.

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

"""Checks of the sizes that arrays in a file claim, before memory is allocated for them."""

import math
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_DAMAGE = (OSError, EOFError, RuntimeError, UnicodeDecodeError, struct.error, zipfile.BadZipFile, zlib.error)


def check_claims(path: Path) -> None:
    """Check that each array of a `.npz` or `.pt` file is as large as it claims, and could fit into memory.

    Args:
        path: Archive; a file that is none passes, and fails when it is opened.

    Raises:
        ValueError: If an array claims another size than it has, is larger than the memory, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _check_part(path, archive, info)
    except _DAMAGE:
        return


def _check_part(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    name = info.filename.removesuffix(".npy")
    is_stored = info.compress_type == zipfile.ZIP_STORED
    if path.suffix == ".npz" or not is_stored:  # a stored part of a `.pt` file is mapped, not read
        _check_fits(path, name, info.file_size)
    if is_stored and info.file_size > path.stat().st_size:
        raise ValueError(f"{path}, array {name!r} claims {info.file_size} bytes, but the file is smaller")
    if path.suffix != ".npz" or not info.filename.endswith(".npy"):
        return
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = _READERS[version](file)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}, array {name!r} cannot be read: {error}") from error
        claimed, held = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{path}, array {name!r} must hold real numbers, got Python objects, which can run code")
    if claimed != held or min(shape, default=0) < 0:
        raise ValueError(f"{path}, array {name!r} claims shape {shape} of {dtype}, {claimed} bytes, but holds {held}")


def _check_fits(path: Path, name: str, num_bytes: int) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_bytes > memory:
        gigabytes = f"{num_bytes / 1e9:.1f} GB of memory, but this machine has {memory / 1e9:.1f} GB"
        raise ValueError(f"{path}, array {name!r} needs {gigabytes}; a `.pt` file may be larger than memory")

"""Checks of the sizes that arrays in a file claim, before memory is allocated for them."""

import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from lightning_template.engine.files.data_files import check_regular

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
        _check_header(f"{path}, array {name!r}", file, info.file_size)


def check_array_claims(path: Path) -> None:
    """Check that the array of a `.npy` file is as large as it claims.

    Raises:
        ValueError: If it claims another size than it has, or holds Python objects.
    """
    with path.open("rb") as file:
        _check_header(str(path), file, path.stat().st_size)


def claimed_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a `.npz` file by their names, without reading more than their headers."""
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as file:
                    shapes[info.filename.removesuffix(".npy")] = _header(path.name, file)[0]
    return shapes


def claimed_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of the array of a `.npy` file, without reading more than its header."""
    check_regular(path)
    with path.open("rb") as file:
        return _header(str(path), file)[0]


def _header(where: str, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _READERS[version](file)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{where} cannot be read: {error}") from error
    return shape, dtype


def _check_header(where: str, file: IO[bytes], size: int) -> None:
    shape, dtype = _header(where, file)
    claimed, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if dtype.hasobject:
        hint = "; for text, save `array.astype(str)`"
        raise ValueError(f"{where} must hold real numbers, got Python objects, which can run code{hint}")
    if claimed != held or min(shape, default=0) < 0:
        raise ValueError(f"{where} claims shape {shape} of {dtype}, {claimed} bytes, but holds {held}")


def _check_fits(path: Path, name: str, num_bytes: int) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_bytes > memory:
        gigabytes = f"{num_bytes / 1e9:.1f} GB of memory, but this machine has {memory / 1e9:.1f} GB"
        raise ValueError(f"{path}, array {name!r} needs {gigabytes}; a `.pt` file may be larger than memory")

"""Files of named arrays, from `torch.save` or numpy, checked before they are read."""

import pickle
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.files.claims import check_array_claims, check_claims, claimed_shape, claimed_shapes
from lightning_template.engine.files.data_files import check_archive, check_regular, not_found

_ARCHIVES = (".pt", ".pth", ".npz")

_WIDER = dict.fromkeys((torch.uint16, torch.uint32, torch.uint64), torch.int64)
"""Dtypes that torch can hardly compute with, and the dtypes they are converted to."""

_DAMAGE = (OSError, ValueError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)


class ArrayFile:
    """Named arrays: of a `.pt` or `.npy` file, which is mapped into memory, or of a `.npz` file, which must fit.

    Args:
        path: The file, or a folder of `.npy` files, of which each is an array named as the file is. An `.npy` file
            stands for its folder.

    Raises:
        ValueError: If it is not such a file or folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = _open(path)

    @property
    def names(self) -> list[str]:
        """Names of the arrays, in their order in the file."""
        return list(self._arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, without reading it where that takes time."""
        if isinstance(self._arrays, (_Folder, _Archive)) and name in self.names:
            return self._arrays.shape(name)
        return tuple(self.array(name).shape)

    def array(self, name: str) -> Tensor | np.ndarray:
        """Return an array: real numbers as a tensor that torch can compute with, or text as numpy has it.

        Raises:
            ValueError: If there is no such array, it cannot be read, or holds something else.
        """
        if name not in self.names:  # a mapping would read the array
            raise not_found(self.path, "array", name, self._arrays)
        try:
            array = self._arrays[name]  # numpy reads it only now
        except MemoryError as error:
            raise ValueError(f"{self.path}, array {name!r} does not fit into memory: {error}") from error
        except _DAMAGE as error:
            raise ValueError(f"{self.path}, array {name!r} cannot be read: {error}") from error
        if isinstance(array, list):  # of numbers or text, in a dict
            array = np.array(array)
        if isinstance(array, np.ndarray) and array.dtype.kind in "US":
            return array.astype(str)
        if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
            array = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
        if not isinstance(array, Tensor) or array.is_complex() or array.layout != torch.strided:
            kind = getattr(array, "dtype", type(array).__name__)
            raise ValueError(f"{self.path}, array {name!r} must hold real numbers, got {kind}")
        return array.detach().to(_WIDER.get(array.dtype, array.dtype))

    def numbers(self, name: str) -> Tensor:
        """Return an array of real numbers.

        Raises:
            ValueError: As `array` does, and if it holds text.
        """
        array = self.array(name)
        if not isinstance(array, Tensor):
            raise ValueError(f"{self.path}, array {name!r} must hold real numbers, got text")
        return array


class _Folder(Mapping[str, Any]):
    """Arrays of `.npy` files, which are mapped into memory when they are asked for.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {path.stem: path for path in sorted(folder.glob("*.npy"))}

    def __getitem__(self, name: str) -> np.ndarray:
        path = self.files[name]
        check_regular(path)
        check_array_claims(path)
        array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)  # torch wants what can be written to
        return array

    def shape(self, name: str) -> tuple[int, ...]:
        return claimed_shape(self.files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


class _Archive(Mapping[str, Any]):
    """Arrays of a `.npz` file, which is open only while one is read.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes = claimed_shapes(path)

    def __getitem__(self, name: str) -> np.ndarray:
        with np.load(self.path, allow_pickle=False) as archive:
            array: np.ndarray = archive[name]
            return array

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def _open(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a file by their names."""
    if path.is_dir() and path.suffix not in (*_ARCHIVES, ".npy"):
        if arrays := _Folder(path):
            return arrays
        raise ValueError(f"no .npy files in the folder {path}")
    if path.suffix not in (*_ARCHIVES, ".npy"):
        check_regular(path)
        raise ValueError(f"arrays must lie in a file that ends in .pt, .npz or .npy, or in a folder, got {path}")
    check_regular(path)
    if path.suffix == ".npy":
        return _Folder(path.parent)
    check_claims(path)
    check_archive(path)
    try:
        if path.suffix == ".npz":
            return _Archive(path)
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _DAMAGE as error:
        raise ValueError(
            f"{path} must hold tensors and nothing else: {str(error).splitlines()[0].partition('. ')[0]}"
        ) from error
    return dict(_flat(path, held))


def _flat(path: Path, held: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a dict, of dicts in it, and of pairs of inputs and targets, by their names."""
    if isinstance(held, (tuple, list)) and len(held) == 2 and all(isinstance(part, Tensor) for part in held):
        held = {"inputs": held[0], "targets": held[1]}
    if isinstance(held, Mapping):
        for name, value in held.items():
            is_nest = isinstance(value, (Mapping, tuple))
            yield from _flat(path, value, f"{prefix}{name}_") if is_nest else [(f"{prefix}{name}", value)]
    else:
        raise ValueError(f"{path} must hold a dict of named arrays or a pair of them, got {type(held).__name__}")

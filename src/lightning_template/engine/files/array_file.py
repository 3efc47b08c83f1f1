"""Files of named arrays, from `torch.save` or `numpy.savez`, checked before they are read."""

import logging
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.batches import check_targets_differ
from lightning_template.engine.files.claims import check_claims
from lightning_template.engine.files.data_files import check_archive, check_regular, not_found

_WIDER = {torch.bool: torch.float32} | dict.fromkeys((torch.uint16, torch.uint32, torch.uint64), torch.int64)
"""Dtypes that torch can hardly compute with, and the dtypes they are converted to."""

_DAMAGE = (OSError, ValueError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)

_logger = logging.getLogger(__name__)


class ArrayFile:
    """Named arrays of a `.pt` file, which is mapped into memory, or of a `.npz` file, which must fit.

    Args:
        path: The file.

    Raises:
        ValueError: If it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = _open(path)

    @property
    def names(self) -> set[str]:
        """Names of the arrays."""
        return set(self._arrays.keys())

    def tensor(self, name: str) -> Tensor:
        """Return an array as a tensor that torch can compute with.

        Raises:
            ValueError: If there is no such array, it cannot be read, or does not hold real numbers.
        """
        if name not in self._arrays:
            raise not_found(self.path, "array", name, self._arrays)
        try:
            array = self._arrays[name]  # numpy reads it only now
        except MemoryError as error:
            raise ValueError(f"{self.path}, array {name!r} does not fit into memory: {error}") from error
        except _DAMAGE as error:
            raise ValueError(f"{self.path}, array {name!r} cannot be read: {error}") from error
        if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
            array = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
        if not isinstance(array, Tensor) or array.is_complex() or array.layout != torch.strided:
            kind = getattr(array, "dtype", type(array).__name__)
            raise ValueError(f"{self.path}, array {name!r} must hold real numbers, got {kind}")
        return array.detach().to(_WIDER.get(array.dtype, array.dtype))

    def samples(self, inputs_name: str, targets_name: str) -> tuple[Tensor, Tensor]:
        """Return inputs `(N, channels, ...)` and class indices `(N, ...)` int64, or numbers `(N, num_values)` float.

        Raises:
            ValueError: If there are no such arrays, or they are not one target for each input.
        """
        inputs, targets = self.tensor(inputs_name), self.tensor(targets_name)
        if inputs.ndim < 2 or targets.ndim < 1 or len(inputs) != len(targets) or not inputs.numel():
            raise ValueError(
                f"{self.path} must hold inputs (N, channels, ...) and targets (N, ...) for N samples, "
                f"got {tuple(inputs.shape)} and {tuple(targets.shape)}"
            )
        if targets.is_floating_point():
            return inputs, (targets.unsqueeze(1) if targets.ndim == 1 else targets).float()
        targets = targets.long()
        if (low := targets.min()) < 0:
            raise ValueError(f"{self.path}: integer targets are class indices from 0, got {low}; floats are numbers")
        return inputs, targets

    def train_and_test(
        self, train: tuple[str, str], test: tuple[str, str] | None
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]:
        """Return the samples for training and for the test; log which arrays are not used.

        Args:
            train: Names of inputs and targets.
            test: Those of the test; if None, `test_inputs` and `test_targets` if there are such.

        Raises:
            ValueError: As `samples` does, and if samples of the test are of another kind than those for training.
        """
        if test is None and not self.names.isdisjoint(("test_inputs", "test_targets")):
            test = "test_inputs", "test_targets"
        if left_out := sorted(self.names.difference(train, test or ())):
            _logger.info("%s: arrays that are not used: %s", self.path, ", ".join(left_out))
        samples, test_samples = self.samples(*train), self.samples(*test) if test else None
        check_targets_differ(str(self.path), samples[1])
        if test_samples is not None:
            _check_same_kind(self.path, samples, test_samples)
        return samples, test_samples


def _check_same_kind(path: Path, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> None:
    """Check that a test set has the shapes, dtypes and classes of the training set.

    Args:
        path: File, for the message.
        train: Inputs and targets for training.
        test: Inputs and targets of the test.

    Raises:
        ValueError: If it has others.
    """
    for kind, one, other in zip(("inputs", "targets"), train, test, strict=True):
        if (one.shape[1:], one.dtype) != (other.shape[1:], other.dtype):
            raise ValueError(
                f"{path}: test {kind} must be like those for training, {one.dtype} {tuple(one.shape[1:])}, "
                f"got {other.dtype} {tuple(other.shape[1:])}"
            )
    if not train[1].is_floating_point() and test[1].max() > train[1].max():
        raise ValueError(f"{path}: test targets have class {test[1].max()}, but training ones end at {train[1].max()}")


def _open(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a file by their names."""
    if path.suffix not in (".pt", ".npz"):
        raise ValueError(f"a file of arrays must end in .pt or .npz, got {path}")
    check_regular(path)
    check_claims(path)
    check_archive(path)
    try:
        arrays = (
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if path.suffix == ".pt"
            else np.load(path, allow_pickle=False)
        )
    except _DAMAGE as error:
        raise ValueError(f"{path} must hold tensors and nothing else: {str(error).splitlines()[0]}") from error
    if not isinstance(arrays, Mapping):
        raise ValueError(f"{path} must hold a dict of named arrays, got {type(arrays).__name__}")
    return arrays

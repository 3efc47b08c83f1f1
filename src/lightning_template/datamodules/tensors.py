"""Arrays that somebody has prepared, in one file of torch's or numpy's."""

import logging
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import Split, only_file
from lightning_template.datamodules.normalized import NormalizedDataModule, check_targets_differ
from lightning_template.engine.batches import Inputs
from lightning_template.engine.files import (
    DataDigest,
    check_archive,
    check_claims,
    check_regular,
    digest_of_archive,
    not_found,
)

_WIDER = {torch.bool: torch.float32} | dict.fromkeys((torch.uint16, torch.uint32, torch.uint64), torch.int64)
"""Dtypes that torch can hardly compute with, and what they become."""

_DAMAGE = (OSError, ValueError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)

_logger = logging.getLogger(__name__)


class TensorsDataModule(NormalizedDataModule):
    """Inputs `(channels, ...)` and targets from the arrays `(N, ...)` of a `.pt` or `.npz` file.

    Integer targets are class indices; others are numbers to predict, float, and `(N,)` of them become `(N, 1)`, the
    shape of a network's outputs. Inputs keep their dtype until a batch is made. A `.pt` file is mapped into memory, so
    it may be larger than that, and must not change while it is used; the arrays of a `.npz` file must fit.

    Args:
        path: File with a dict of tensors, from `torch.save`, or with named arrays, from `numpy.savez`.
        inputs: Name of the inputs.
        targets: Name of the targets.
        test_inputs: Name of the inputs of the test set; `test_inputs`, if the file has it, if not given.
        test_targets: Name of the targets of the test set, likewise.

    Raises:
        ValueError: If one of `test_inputs` and `test_targets` is given alone.
    """

    def __init__(
        self,
        path: str,
        inputs: str = "inputs",
        targets: str = "targets",
        test_inputs: str | None = None,
        test_targets: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (test_inputs is None) != (test_targets is None):
            raise ValueError(f"`test_inputs` and `test_targets` go together, got {test_inputs} and {test_targets}")
        self.path = Path(path).expanduser()
        self.inputs = inputs
        self.targets = targets
        self.test_inputs = test_inputs
        self.test_targets = test_targets
        self.input_shape: tuple[int, ...] = ()
        """Shape of one input, once the data are loaded."""
        self.num_classes = 0
        """Number of classes, once the data are loaded; 0 for regression."""

    def load(self) -> tuple[Split, Split | None]:
        """Open the file.

        Raises:
            ValueError: If it is not such a file, or lacks an array, or one is not as it should be.
        """
        arrays = _open(self.path)
        names = [self.inputs, self.targets]
        if self.test_inputs is not None and self.test_targets is not None:
            names += [self.test_inputs, self.test_targets]
        elif not arrays.keys().isdisjoint(("test_inputs", "test_targets")):
            names += ["test_inputs", "test_targets"]
        if left_out := sorted(arrays.keys() - set(names)):
            _logger.info("%s: arrays that are not used: %s", self.path, ", ".join(left_out))
        tensors = [self._tensor(arrays, name) for name in names]
        splits = [self._split(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True)]
        inputs, targets = splits[0]
        self.input_shape = tuple(inputs.shape[1:])
        check_targets_differ(str(self.path), targets)
        test = splits[1] if len(splits) > 1 else None
        if test is not None:
            self._check_alike(splits[0], test)
        if not targets.is_floating_point():
            self.num_classes = int(targets.max()) + 1
        return splits[0], test

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digest of the file."""
        return {"path": digest_of_archive(self.path)}

    def read(self, paths: Sequence[str], invert: bool) -> tuple[Inputs, None]:
        """Read the array of the inputs from a file.

        Raises:
            ValueError: If they are not of the shape that the data have.
        """
        path = only_file(paths, invert)
        inputs = self._tensor(_open(path), self.inputs)
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(f"{path}: inputs must be (N, ...) of {self.input_shape}, got {tuple(inputs.shape)}")
        return inputs, None

    def _tensor(self, arrays: Mapping[str, Any], name: str) -> Tensor:
        """Return an array as a tensor that torch can compute with."""
        if name not in arrays:
            raise not_found(self.path, "array", name, arrays)
        try:
            array = arrays[name]  # numpy reads it only now
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

    def _split(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
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

    def _check_alike(self, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> None:
        """Check that the test set is of the kind of the training set."""
        for kind, one, other in zip(("inputs", "targets"), train, test, strict=True):
            if (one.shape[1:], one.dtype) != (other.shape[1:], other.dtype):
                raise ValueError(
                    f"{self.path}: test {kind} must be like those for training, {one.dtype} {tuple(one.shape[1:])}, "
                    f"got {other.dtype} {tuple(other.shape[1:])}"
                )
        if not train[1].is_floating_point() and test[1].max() > train[1].max():
            raise ValueError(
                f"{self.path}: test targets have class {test[1].max()}, but training ones end at {train[1].max()}"
            )


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

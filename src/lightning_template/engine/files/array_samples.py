"""Samples from files of arrays."""

import logging
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lightning_template.engine.batches import Samples, check_targets_differ, like_stored
from lightning_template.engine.files.array_file import ArrayFile
from lightning_template.engine.files.array_roles import find_roles
from lightning_template.engine.files.array_targets import like_training, targets_of
from lightning_template.engine.files.data_files import (
    MAX_HASHED_BYTES,
    DataDigest,
    digest_of_archive,
    digest_of_file,
    digest_of_folder,
)

Layout = Literal["channels_first", "channels_last", "no_channels"]
"""Where the channels of inputs are."""

_logger = logging.getLogger(__name__)

Names = tuple[str | None, str | None]


class ArraySamples:
    """Samples for training, test and validation from the arrays of a file.

    Args:
        path: The file, as `ArrayFile` takes it.
        train: Names of inputs and targets; None where names and shapes tell.
        test: Those of the test, likewise.
        task: As `targets_of` takes it.
        layout: Where inputs have their channels; if None, shape and dtype tell.

    Raises:
        ValueError: If it is no such file, lacks an array, or one is not as it should be.
    """

    def __init__(self, path: Path, train: Names, test: Names, task: str | None, layout: Layout | None) -> None:
        file = ArrayFile(path)
        roles = find_roles(file, train, test)
        if left_out := sorted(set(file.names).difference(*roles.values())):
            _logger.info("%s: arrays that are not used: %s", path, ", ".join(left_out))
        self.inputs_name, targets_name = roles["train"]
        stored = file.numbers(self.inputs_name)
        self.layout = layout or _guess_layout(f"{path}, array {self.inputs_name!r}", stored)
        raw = file.array(targets_name)
        if stored.ndim < 1 or raw.ndim < 1 or len(stored) != len(raw) or not stored.numel():
            raise ValueError(
                f"{path} must hold inputs (N, channels, ...) and targets (N, ...) for N samples, "
                f"got {tuple(stored.shape)} and {tuple(raw.shape)}"
            )
        inputs = with_channels(f"{path}, array {self.inputs_name!r}", stored, self.layout)
        where = f"{path}, array {targets_name!r}"
        targets, self.class_names = targets_of(where, raw, task)
        check_targets_differ(where, targets)
        self.parts: dict[str, Samples] = {"train": (inputs, targets)}
        """Samples, by `train`, `test` and `val`."""
        for part in roles.keys() - {"train"}:
            names = roles[part]
            others = like_training(
                f"{path}, array {names.targets!r}", file.array(names.targets), targets, self.class_names
            )
            self.parts[part] = self._like_training(path, part, file.numbers(names.inputs)), others
            if others.shape[1:] != targets.shape[1:]:
                raise _other_shape(path, f"{part} targets", targets, others)

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if targets are numbers."""
        targets = self.parts["train"][1]
        return 0 if targets.is_floating_point() else len(self.class_names or range(int(targets.max()) + 1))

    @property
    def num_targets(self) -> int:
        """Number of values to predict for each sample; 0 if targets are classes."""
        targets = self.parts["train"][1]
        return targets[0].numel() if targets.is_floating_point() else 0

    @property
    def num_tokens(self) -> int:
        """Number of different tokens, of which the inputs are the numbers; 0 if inputs are other numbers."""
        tokens = [inputs for inputs, _ in self.parts.values() if isinstance(inputs, Tensor)]
        if any(inputs.is_floating_point() or inputs.dtype == torch.uint8 for inputs in tokens):
            return 0
        return max(int(inputs.max()) for inputs in tokens) + 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        inputs = self.parts["train"][0]
        assert isinstance(inputs, Tensor)
        return tuple(inputs.shape[1:])

    def read_inputs(self, path: Path) -> Tensor:
        """Return the inputs in another file: of the same name, or the only array that has their shape.

        Raises:
            ValueError: If there are none.
        """
        file = ArrayFile(path)
        names = [path.stem] if path.suffix == ".npy" else file.names
        if self.inputs_name in names:
            names = [self.inputs_name]
        read = {name: with_channels(str(path), file.numbers(name), self.layout) for name in names if file.shape(name)}
        fitting = [inputs for inputs in read.values() if inputs.shape[1:] == self.input_shape]
        if len(fitting) != 1:
            got = ", ".join(f"{name} {file.shape(name)}" for name in names)
            raise ValueError(f"{path}: inputs must be (N, ...) of {self.input_shape}, got {got}")
        return fitting[0]

    def arrange(self, array: Tensor) -> Tensor:
        """Return inputs that were not read from a file as those for training are stored.

        Raises:
            ValueError: If they do not have their shape.
        """
        inputs = array if array.shape[1:] == self.input_shape else with_channels("the array", array, self.layout)
        return like_stored(inputs, self.parts["train"][0])

    def _like_training(self, path: Path, part: str, stored: Tensor) -> Tensor:
        inputs, train = with_channels(str(path), stored, self.layout), self.parts["train"][0]
        assert isinstance(train, Tensor)
        if (inputs.shape[1:], inputs.dtype) != (train.shape[1:], train.dtype):
            raise _other_shape(path, f"{part} inputs", train, inputs)
        return inputs


def with_channels(where: str, inputs: Tensor, layout: Layout) -> Tensor:
    """Return inputs `(N, channels, ...)`, which share the memory of the stored ones.

    Raises:
        ValueError: If they cannot have that layout.
    """
    if inputs.dtype == torch.bool:
        inputs = inputs.float()
    if inputs.ndim == 1 or layout == "no_channels":
        return inputs.unsqueeze(1)
    if layout == "channels_last":
        if inputs.ndim < 3:
            raise ValueError(f"{where}: `layout: channels_last` needs (N, ..., channels), got {tuple(inputs.shape)}")
        return inputs.movedim(-1, 1)
    return inputs


def digests_of_arrays(path: Path, train: Names, test: Names) -> dict[str, DataDigest]:
    """Return a digest of a file of arrays, or of each `.npy` file that is used."""
    if not path.is_dir() and path.suffix != ".npy":
        return {"path": digest_of_archive(path)}
    folder = path if path.is_dir() else path.parent
    used = sorted({name for roles in find_roles(ArrayFile(path), train, test).values() for name in roles})
    files = [folder / f"{name}.npy" for name in used]
    if sum(file.stat().st_size for file in files) <= MAX_HASHED_BYTES:
        return {file.name: digest_of_file(file) for file in files}
    return {file.name: digest_of_folder(folder, [str(file)], with_content=False) for file in files}


def _guess_layout(where: str, inputs: Tensor) -> Layout:
    """Return where the channels of inputs are, and log it where it is not certain."""
    shape = tuple(inputs.shape)
    if len(shape) == 4 and shape[3] in (1, 3, 4) and shape[1] > 4:
        _logger.info(
            "%s: %s is taken for images with channels last; `--data.layout channels_first` if not", where, shape
        )
        return "channels_last"
    if len(shape) == 3 and inputs.dtype == torch.uint8 and min(shape[1:]) > 4:
        _logger.info("%s: bytes %s are taken for grey images; `--data.layout channels_first` if not", where, shape)
        return "no_channels"
    if len(shape) == 3 and shape[1] == shape[2] > 4:
        what = "%s: %s is taken for sequences of %d channels; `--data.layout no_channels` if they are grey images"
        _logger.warning(what, where, shape, shape[1])
    return "channels_first"


def _other_shape(path: Path, kind: str, train: Tensor, other: Tensor) -> ValueError:
    return ValueError(
        f"{path}: {kind} must be like those for training, {train.dtype} {tuple(train.shape[1:])}, "
        f"got {other.dtype} {tuple(other.shape[1:])}"
    )

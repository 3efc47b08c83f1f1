"""Arrays in one file from `torch.save` or `numpy.savez`."""

from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Samples
from lightning_template.engine.files import ArrayFile, DataDigest, OneFileReader, digest_of_archive


class TensorsDataModule(NormalizedDataModule):
    """Inputs `(channels, ...)` and targets from the arrays `(N, ...)` of a `.pt` or `.npz` file.

    Integer targets are class indices; others are numbers to predict, float, and `(N,)` of them become `(N, 1)`, the
    shape of a network's outputs. Inputs become float when a batch is made. A `.pt` file is mapped into memory, so
    it may be larger than that, and must not change during a run; the arrays of a `.npz` file must fit.

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

    def load(self) -> tuple[Samples, Samples | None]:
        """Open the file.

        Raises:
            ValueError: If it is not such a file, or lacks an array, or one is not as it should be.
        """
        tests = (self.test_inputs, self.test_targets) if self.test_inputs and self.test_targets else None
        train, test = ArrayFile(self.path).train_and_test((self.inputs, self.targets), tests)
        inputs, targets = train
        self.input_shape = tuple(inputs.shape[1:])
        if not targets.is_floating_point():
            self.num_classes = int(targets.max()) + 1
        return train, test

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digest of the file."""
        return {"path": digest_of_archive(self.path)}

    def file_reader(self) -> OneFileReader:
        """Return a reader of the array of the inputs."""
        return OneFileReader(self._read_inputs)

    def _read_inputs(self, path: Path) -> Tensor:
        inputs = ArrayFile(path).tensor(self.inputs)
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise ValueError(f"{path}: inputs must be (N, ...) of {self.input_shape}, got {tuple(inputs.shape)}")
        return inputs

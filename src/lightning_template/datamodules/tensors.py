"""Arrays in files from `torch.save` or numpy."""

from pathlib import Path
from typing import Any, Literal

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Samples, after_setup
from lightning_template.engine.files import ArrayReader, ArraySamples, DataDigest, Layout, digests_of_arrays


class TensorsDataModule(NormalizedDataModule):
    """Inputs `(channels, ...)` and targets from the arrays `(N, ...)` of a `.pt`, `.npz` or `.npy` file.

    Arrays named as usual, such as `x` and `y` or `test_images`, are found, and two that their shapes tell apart.
    Targets of whole numbers or text are classes. Others are numbers to predict, and `(N,)` of them become `(N, 1)`, the
    shape of a network's outputs. Inputs become float when a batch is made. `.pt` and `.npy` files are mapped into
    memory: they may be larger than that, and must not change during a run. The arrays of a `.npz` file must fit.

    Args:
        path: File from `torch.save` or `numpy.savez`; or a folder of `.npy` files, or the one of the inputs.
        inputs: Name of the inputs; that of an `.npy` file is the file's.
        targets: Name of the targets.
        test_inputs: Name of the inputs of the test set.
        test_targets: Name of the targets of the test set.
        task: What the targets are; if not given, their dtype tells.
        layout: Where inputs have their channels; if not given, shape and dtype tell.

    Raises:
        ValueError: If one of `test_inputs` and `test_targets` is given alone.
    """

    def __init__(
        self,
        path: str,
        inputs: str | None = None,
        targets: str | None = None,
        test_inputs: str | None = None,
        test_targets: str | None = None,
        task: Literal["classification", "regression"] | None = None,
        layout: Layout | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (test_inputs is None) != (test_targets is None):
            raise ValueError(f"`test_inputs` and `test_targets` go together, got {test_inputs} and {test_targets}")
        self.path = Path(path).expanduser()
        self.array_names = (inputs, targets), (test_inputs, test_targets)
        self.task, self.layout = task, layout
        self.arrays: ArraySamples | None = None
        """What is in the file, once the data are loaded."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, once the data are loaded."""
        return self.arrays.input_shape if self.arrays is not None else ()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of each class, once the data are loaded; None if they have none."""
        return self.arrays.class_names if self.arrays is not None else None

    @property
    def num_classes(self) -> int:
        """Number of classes, once the data are loaded; 0 for regression."""
        return self.arrays.num_classes if self.arrays is not None else 0

    @property
    def num_targets(self) -> int:
        """Number of values to predict for each sample, once the data are loaded; 0 for classification."""
        return self.arrays.num_targets if self.arrays is not None else 0

    @property
    def num_tokens(self) -> int:
        """Number of different tokens if inputs are whole numbers, once the data are loaded; otherwise 0."""
        return self.arrays.num_tokens if self.arrays is not None else 0

    def load(self) -> tuple[Samples, Samples | None, Samples | None]:
        """Open the file.

        Raises:
            ValueError: If it is not such a file, or lacks an array, or one is not as it should be.
        """
        self.arrays = ArraySamples(self.path, *self.array_names, self.task, self.layout)
        parts = self.arrays.parts
        return parts["train"], parts.get("test"), parts.get("val")

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digests of the files."""
        return digests_of_arrays(self.path, *self.array_names)

    def file_reader(self) -> ArrayReader:
        """Return a reader of the array of the inputs."""
        return ArrayReader(
            lambda path: after_setup(self.arrays).read_inputs(path),
            lambda array: after_setup(self.arrays).arrange(array),
        )

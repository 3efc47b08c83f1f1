"""A folder of images, sorted into a folder for each class, or named in a table with their targets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Inputs, Samples
from lightning_template.engine.files import ClassFolders, DataDigest, ImageReader, ImageTable, image_samples

MAX_MEASURED = 10_000
"""Largest number of training images, evenly spread, whose mean and standard deviation are measured."""


class ImageFolderDataModule(NormalizedDataModule):
    """Images `(channels, height, width)`, float, with class indices, or numbers `(num_targets,)`.

    A folder for each class lies in `data_dir`, or in its folders `train`, `test` and `val`, of which the last two may
    be left out. Classes are the folders' names in alphabetical order. Or a `table` has a row for each image, with its
    file and its class or numbers; a column `split` may say `train`, `test` or `val`.

    Images that take more memory than `memory_limit` are decoded again for each batch, to the same numbers, by
    `num_workers` processes if there are any. A file that cannot be read then fails when its batch comes.

    Args:
        data_dir: Folder that holds the folders.
        image_size: Height and width that all images are stretched to, in pixels; one number for both.
        channels: 1 for grey images, 3 for RGB; all are converted.
        memory_limit: Bytes of decoded images, one for each pixel and channel, that may be stored in memory.
        skip_damaged: Whether images that cannot be read are left out and listed; otherwise they are an error.
        table: Table of images in `data_dir`, as `TableDataModule` takes it.
        targets: Name of its column to predict; for regression there may be several. If not given, the only one.
        files: Name of its column of file names, with or without folders and endings. If not given, it is found.
        task: What the targets in the table are.
        eval_batch_size: Number of samples in a batch of validation, test and prediction; no result depends on it.

    Raises:
        ValueError: If `image_size` is less than 1, or columns are named without a table.
    """

    def __init__(
        self,
        data_dir: str,
        image_size: int | tuple[int, int],
        channels: Literal[1, 3] = 3,
        memory_limit: int = 2_000_000_000,
        skip_damaged: bool = False,
        table: str | None = None,
        targets: Sequence[str] | str | None = None,
        files: str | None = None,
        task: Literal["classification", "regression"] = "classification",
        eval_batch_size: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_batch_size=eval_batch_size, **kwargs)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 1:
            raise ValueError(f"`image_size` must be at least 1, got {image_size}")
        self.data_dir = Path(data_dir).expanduser()
        self.files: ClassFolders | ImageTable = ClassFolders(self.data_dir)
        if table is not None:
            self.files = ImageTable(self.data_dir, Path(table).expanduser(), targets, files, task, skip_damaged)
        elif targets is not None or files is not None or task == "regression":
            raise ValueError("`targets`, `files` and `task` are columns of a `table`: give its path too")
        self.input_shape = (channels, height, width)
        self.memory_limit = memory_limit
        self.skip_damaged = skip_damaged

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of each class; None for regression."""
        return self.files.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for regression."""
        return len(self.class_names or ())

    @property
    def num_targets(self) -> int:
        """Number of values to predict for each image; 0 for classification."""
        return self.files.num_targets

    def load(self) -> tuple[Samples, Samples | None, Samples | None]:
        """Find the images; decode them if they fit in memory.

        Raises:
            ValueError: If folders or table are not as they should be, or an image in memory cannot be read.
        """
        samples = image_samples(
            self.data_dir,
            self.files.find(self.input_shape),
            memory_limit=self.memory_limit,
            num_workers=self.num_workers,
            skip_damaged=self.skip_damaged,
        )
        return samples["train"], samples.get("test"), samples.get("val")

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Measure mean and standard deviation of each channel, of at most `MAX_MEASURED` images."""
        super().adapt(inputs, indices[:: -(-len(indices) // MAX_MEASURED)])

    def data_digests(self) -> dict[str, DataDigest]:
        """Return a digest for each folder of a class, or of the table and of its images."""
        return self.files.digests()

    def file_reader(self) -> ImageReader:
        """Return a reader of images, which are decoded as those of the folder."""
        return ImageReader(self.input_shape, memory_limit=self.memory_limit)

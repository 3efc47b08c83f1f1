"""A folder of images, sorted into a folder for each class."""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Inputs, Samples
from lightning_template.engine.files import ClassFolders, DataDigest, ImageReader, image_samples

MAX_MEASURED = 10_000
"""Largest number of training images, evenly spread, whose mean and standard deviation are measured."""


class ImageFolderDataModule(NormalizedDataModule):
    """Images `(channels, height, width)`, float, with class indices, from a folder for each class.

    The folders lie in `data_dir`, or in its folders `train`, `test` and `val`, of which the last two may be left out.
    Classes are the folders' names in alphabetical order. Images that take more memory than `memory_limit` are decoded
    again for each batch, to the same numbers, by `num_workers` processes if there are any. A file that cannot be read
    then fails when its batch comes.

    Args:
        data_dir: Folder that holds the folders.
        image_size: Height and width that all images are stretched to, in pixels; one number for both.
        channels: 1 for grey images, 3 for RGB; all are converted.
        memory_limit: Bytes of decoded images, one for each pixel and channel, that may be stored in memory.
        skip_damaged: Whether images that cannot be read are left out and listed; otherwise they are an error.
        eval_batch_size: Number of samples in a batch of validation, test and prediction; no result depends on it.

    Raises:
        ValueError: If `image_size` is less than 1.
    """

    def __init__(
        self,
        data_dir: str,
        image_size: int | tuple[int, int],
        channels: Literal[1, 3] = 3,
        memory_limit: int = 2_000_000_000,
        skip_damaged: bool = False,
        eval_batch_size: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_batch_size=eval_batch_size, **kwargs)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 1:
            raise ValueError(f"`image_size` must be at least 1, got {image_size}")
        self.data_dir = Path(data_dir).expanduser()
        self.folders = ClassFolders(self.data_dir)
        self.input_shape = (channels, height, width)
        self.memory_limit = memory_limit
        self.skip_damaged = skip_damaged

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.folders.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def load(self) -> tuple[Samples, Samples | None, Samples | None]:
        """Find the images; decode them if they fit in memory.

        Raises:
            ValueError: If the folders are not as they should be, or an image in memory cannot be read.
        """
        samples = image_samples(
            self.data_dir,
            self.folders.find(self.input_shape),
            memory_limit=self.memory_limit,
            num_workers=self.num_workers,
            skip_damaged=self.skip_damaged,
        )
        return samples["train"], samples.get("test"), samples.get("val")

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Measure mean and standard deviation of each channel, of at most `MAX_MEASURED` images."""
        super().adapt(inputs, indices[:: -(-len(indices) // MAX_MEASURED)])

    def data_digests(self) -> dict[str, DataDigest]:
        """Return a digest for each folder of a class."""
        return self.folders.digests()

    def file_reader(self) -> ImageReader:
        """Return a reader of images, which are decoded as those of the folder."""
        return ImageReader(self.input_shape, memory_limit=self.memory_limit)

"""FashionMNIST: grey images of clothes in ten classes."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.files import DataDigest, ImageReader
from lightning_template.engine.files import fashion_mnist_files as files

MEAN, STD = 0.2860, 0.3530
"""Mean and standard deviation of the pixels of the 60,000 training images, on a scale of [0, 1]."""


class FashionMNISTDataModule(InMemoryDataModule):
    """60,000 training and 10,000 test images `(1, 28, 28)`, float, with class indices in [0, 10).

    Source: https://github.com/zalandoresearch/fashion-mnist

    Args:
        data_dir: Folder that holds `FashionMNIST/raw/` with the four IDX files, gzipped or not. Missing files are
            downloaded into it; existing ones are verified, and may be read-only.
        normalize: Whether pixels get mean 0 and standard deviation 1 over the training set; otherwise they lie in
            [0, 1].
    """

    num_classes = 10
    """Number of classes."""
    class_names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    """Name of each class."""
    input_shape = (1, 28, 28)
    """Shape of one image: channels, height, width."""

    def __init__(self, data_dir: str = "data", normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_dir = Path(data_dir).expanduser()
        self.normalize = normalize

    def prepare_data(self) -> None:
        """Obtain the files, once on each machine.

        Raises:
            ValueError: If no source has them.
        """
        files.obtain(self.data_dir, files.CHECKSUMS)

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Read and verify the files; the images stay bytes `(N, 28, 28)`.

        Raises:
            ValueError: If a file is missing or is not what it should be.
        """
        return files.read(self.data_dir, files.CHECKSUMS)

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digests that `load` compares the files with."""
        return {name: DataDigest(str(self.data_dir), checksum) for name, checksum in files.CHECKSUMS.items()}

    def file_reader(self) -> ImageReader:
        """Return a reader of images; a whole image is fitted in, with black beside it as in the data."""
        return ImageReader(self.input_shape, whole=True, needs_setup=False)

    def transform(self, inputs: Tensor) -> Tensor:
        """Turn images of bytes `(N, 28, 28)` or `(N, 1, 28, 28)` into floats `(N, 1, 28, 28)`."""
        images = inputs.reshape(-1, *self.input_shape)
        return torch.sub(images, 255 * MEAN).div_(255 * STD) if self.normalize else torch.div(images, 255)

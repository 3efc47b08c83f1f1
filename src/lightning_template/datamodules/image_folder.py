"""A folder of images, sorted into a folder for each class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import Split
from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Inputs
from lightning_template.engine.files import (
    MAX_HASHED_BYTES,
    SUFFIXES,
    DataDigest,
    ImageFiles,
    check_regular,
    digest_of_folder,
    find_images,
    images_among,
    read_images,
)

MAX_MEASURED = 10_000
"""Number of training images, evenly spread, whose mean and standard deviation stand for those of all."""

_PARTS = ("train", "test", "val")

_logger = logging.getLogger(__name__)


class ImageFolderDataModule(NormalizedDataModule):
    """Images `(channels, height, width)`, float, with class indices, from a folder for each class.

    The folders lie in `data_dir`, or in its folders `train`, `test` and `val`, of which the last two may be left out.
    Classes are the folders' names in alphabetical order. Images that take more memory than `memory_limit` are decoded
    anew for each batch, to the same numbers, by `num_workers` processes if there are any; a file that cannot be read
    then shows when its batch comes.

    Args:
        data_dir: Folder that holds the folders.
        image_size: Height and width that all images are stretched to, in pixels; one number for both.
        channels: 1 for grey images, 3 for RGB; all are converted.
        memory_limit: Bytes of decoded images, one for each pixel and channel, that may be kept in memory.
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
        eval_batch_size: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_batch_size=eval_batch_size, **kwargs)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 1:
            raise ValueError(f"`image_size` must be at least 1, got {image_size}")
        self.data_dir = Path(data_dir).expanduser()
        self.input_shape = (channels, height, width)
        self.memory_limit = memory_limit

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return tuple(path.name for path in _folders(self._part_folders().get("train", self.data_dir)))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def load(self) -> tuple[Split, Split | None, Split | None]:
        """Find the images; decode them if they fit in memory.

        Raises:
            ValueError: If the folders are not as they should be, or an image in memory cannot be read.
        """
        folders = self._part_folders() or {"train": self.data_dir}
        class_names = _check_classes(folders["train"])
        parts = {name: self._find(folder, class_names) for name, folder in folders.items()}
        size = sum(images.nbytes for images, _ in parts.values())
        in_memory = size <= self.memory_limit
        _logger.info(
            "%s: %d images of %s, %.3g GB, %s",
            self.data_dir,
            sum(len(images) for images, _ in parts.values()),
            " x ".join(map(str, self.input_shape)),
            size / 1e9,
            "decoded into memory" if in_memory else f"decoded for each batch by {self.num_workers} workers",
        )
        splits: dict[str, Split] = {
            name: (images.index_select(0, torch.arange(len(images))) if in_memory else images, targets)
            for name, (images, targets) in parts.items()
        }
        return splits["train"], splits.get("test"), splits.get("val")

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Measure mean and standard deviation of each channel, of at most `MAX_MEASURED` images."""
        super().adapt(inputs, indices[:: -(-len(indices) // MAX_MEASURED)])

    def data_digests(self) -> dict[str, DataDigest]:
        """Return a digest for each folder of a class: of names, sizes and, up to `MAX_HASHED_BYTES` in all, content."""
        parts = self._part_folders().values() or [self.data_dir]
        images = {folder: _images(folder) for part in parts for folder in _folders(part)}
        size = sum(Path(path).stat().st_size for paths in images.values() for path in paths)
        return {
            folder.relative_to(self.data_dir).as_posix(): digest_of_folder(folder, paths, size <= MAX_HASHED_BYTES)
            for folder, paths in images.items()
        }

    def read(self, paths: Sequence[str], invert: bool) -> tuple[Inputs, list[str]]:
        """Find images anywhere, which are decoded as those of the folder are; those that cannot be are skipped."""
        images = ImageFiles(find_images(paths), self.input_shape, invert=invert)
        inputs, files, self.skipped_files = read_images(images, self.memory_limit)
        return inputs, files

    def _part_folders(self) -> dict[str, Path]:
        """Return the folders of training, test and validation set; none if classes are not parted so."""
        if not self.data_dir.is_dir():
            raise ValueError(f"there is no folder `data_dir` {self.data_dir}")
        folders = {path.name: path for path in _folders(self.data_dir)}
        if "train" not in folders or not (_folders(folders["train"]) or folders.keys() <= set(_PARTS)):
            return {}
        if unknown := folders.keys() - set(_PARTS):
            raise ValueError(
                f"{self.data_dir} has a folder train, and beside it only test and val may be, got {sorted(unknown)}"
            )
        return folders

    def _find(self, folder: Path, class_names: list[str]) -> tuple[ImageFiles, Tensor]:
        """Return the images of a part and their class indices."""
        paths: list[str] = []
        targets: list[int] = []
        for class_folder in _folders(folder):
            if class_folder.name not in class_names:
                raise ValueError(f"{class_folder} is of a class that the training set lacks; it has {class_names}")
            if inner := _folders(class_folder):
                raise ValueError(f"images must lie directly in the folder of their class, got the folder {inner[0]}")
            found = _images(class_folder)
            for path in found:
                check_regular(path)
            if not found:
                raise ValueError(f"no images in {class_folder}; their names end in {', '.join(sorted(SUFFIXES))}")
            paths += found
            targets += [class_names.index(class_folder.name)] * len(found)
        return ImageFiles(paths, self.input_shape), torch.tensor(targets, dtype=torch.int64)


def _check_classes(folder: Path) -> list[str]:
    """Return the names of the classes that a folder holds folders of."""
    names = [path.name for path in _folders(folder)]
    if not names:
        raise ValueError(
            f"no class folders in {folder}, but {len(_images(folder))} images: put the images of each class into a "
            "folder named after it"
        )
    if len(names) == 1:
        raise ValueError(f"{folder} must have the folders of at least two classes, got only {names[0]}")
    return names


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[str]:
    return images_among(path for path in folder.iterdir() if not path.name.startswith("."))

"""Image folders with one folder for each class.

Not torchvision's `ImageFolder`: it takes hidden folders for classes, and images in inner folders for their parent's.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from lightning_template.engine.files.data_files import MAX_HASHED_BYTES, DataDigest, check_regular, digest_of_folder
from lightning_template.engine.files.image_files import SUFFIXES, ImageFiles, images_among, is_hidden

_logger = logging.getLogger(__name__)

_PARTS = ("train", "test", "val")


class ClassFolders:
    """Images in a folder for each class; these lie in `root`, or in its folders `train`, `test` and `val`.

    Args:
        root: Folder that holds the folders.
    """

    num_targets = 0
    """Number of values to predict for each image: none, as each has a class."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the folders of the training set, in alphabetical order."""
        return tuple(path.name for path in _folders(self._parts()["train"]))

    def find(self, shape: tuple[int, int, int]) -> dict[str, tuple[ImageFiles, Tensor]]:
        """Find the images and class indices of each part, by `train`, `test` and `val`.

        Args:
            shape: Channels, height and width that images get.

        Raises:
            ValueError: If the folders are not as they should be.
        """
        parts = self._parts()
        class_names = _check_classes(parts["train"])
        found = {}
        for name, folder in parts.items():
            labelled = list(_labelled(folder, class_names))
            targets = torch.tensor([target for _, target in labelled], dtype=torch.int64)
            found[name] = ImageFiles([path for path, _ in labelled], shape), targets
        images = {path for part, _ in found.values() for path in part.paths}
        if others := sorted(str(path) for path in self.root.rglob("*") if path.is_file() and str(path) not in images):
            what = "%s: %d files are left alone, as they are hidden or no images, such as %s"
            _logger.info(what, self.root, len(others), others[0])
        return found

    def digests(self) -> dict[str, DataDigest]:
        """Return a digest for each folder of a class: of names, sizes and, up to `MAX_HASHED_BYTES` in all, content."""
        images = {folder: _images(folder) for part in self._parts().values() for folder in _folders(part)}
        size = sum(Path(path).stat().st_size for paths in images.values() for path in paths)
        return {
            folder.relative_to(self.root).as_posix(): digest_of_folder(folder, paths, size <= MAX_HASHED_BYTES)
            for folder, paths in images.items()
        }

    def _parts(self) -> dict[str, Path]:
        """Return the folders of training, test and validation set; the root for training if it holds the classes."""
        if not self.root.is_dir():
            raise ValueError(f"there is no folder `data_dir` {self.root}")
        folders = {path.name: path for path in _folders(self.root)}
        if "train" not in folders or not (_folders(folders["train"]) or folders.keys() <= set(_PARTS)):
            return {"train": self.root}
        if unknown := folders.keys() - set(_PARTS):
            raise ValueError(
                f"{self.root} has a folder train, and beside it only test and val may be, got {sorted(unknown)}"
            )
        return folders


def _labelled(part: Path, class_names: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the images of a part and their class indices."""
    for folder in _folders(part):
        if folder.name not in class_names:
            raise ValueError(f"{folder} is of a class that the training set lacks; it has {class_names}")
        if inner := _folders(folder):
            raise ValueError(f"images must lie directly in the folder of their class, got the folder {inner[0]}")
        found = _images(folder)
        if not found:
            raise ValueError(f"no images in {folder}; their names end in {', '.join(sorted(SUFFIXES))}")
        target = class_names.index(folder.name)
        for path in found:
            check_regular(path)
            yield path, target


def _check_classes(folder: Path) -> list[str]:
    """Return the names of the folders of classes, of which there must be two."""
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
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))


def _images(folder: Path) -> list[str]:
    return images_among(folder.iterdir())

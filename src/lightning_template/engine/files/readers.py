"""Readers of files for `predict --input`."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.batches import Inputs
from lightning_template.engine.files.image_files import ImageFiles, find_images

MAX_SHOWN = 5
"""Largest number of skipped files that get a line each; further ones are counted."""

_logger = logging.getLogger(__name__)


class InputsOfFiles(NamedTuple):
    """Inputs that were read.

    Attributes:
        inputs: Inputs as the data module stores them, before its `transform`.
        files: File of each input; None if they come from one file.
        skipped: Files that cannot be read.
    """

    inputs: Inputs
    files: list[str] | None = None
    skipped: Sequence[str] = ()


class FileReader(ABC):
    """Reads inputs from files for a data module.

    Args:
        needs_setup: Whether `read`, or the data module's `transform`, depends on its `setup`.
    """

    def __init__(self, needs_setup: bool = True) -> None:
        self.needs_setup = needs_setup

    @abstractmethod
    def read(self, paths: Sequence[str], invert: bool) -> InputsOfFiles:
        """Read inputs.

        Args:
            paths: Files or folders.
            invert: Whether to turn dark on light images into light on dark ones.

        Raises:
            ValueError: If nothing can be read.
        """


class OneFileReader(FileReader):
    """Reads inputs from one file that is no image.

    Args:
        read_file: Returns the inputs `(N, ...)` in a file.
        needs_setup: As `FileReader` takes it.
    """

    def __init__(self, read_file: Callable[[Path], Tensor], needs_setup: bool = True) -> None:
        super().__init__(needs_setup)
        self.read_file = read_file

    def read(self, paths: Sequence[str], invert: bool) -> InputsOfFiles:
        """Read the inputs.

        Raises:
            ValueError: If there are several files, `invert` is asked for, or the file cannot be read.
        """
        if len(paths) != 1 or invert:
            problem = "--invert is for images" if invert else f"got {len(paths)}"
            raise ValueError(f"these data take one file, which is no image: {problem}")
        return InputsOfFiles(self.read_file(Path(paths[0])))


class ImageReader(FileReader):
    """Reads images from files and folders, and skips those that cannot be decoded.

    Args:
        shape: Channels (1 for grey, 3 for RGB), height and width that images get.
        whole: Whether whole images are fitted in, with black beside them, instead of being stretched.
        memory_limit: Bytes of decoded images that may be stored in memory; more are decoded again for each batch.
        needs_setup: As `FileReader` takes it.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        whole: bool = False,
        memory_limit: float = math.inf,
        needs_setup: bool = True,
    ) -> None:
        super().__init__(needs_setup)
        self.shape = shape
        self.whole = whole
        self.memory_limit = memory_limit

    def read(self, paths: Sequence[str], invert: bool) -> InputsOfFiles:
        """Read the images.

        Raises:
            ValueError: If no image can be decoded.
        """
        images = ImageFiles(find_images(paths), self.shape, self.whole, invert)
        in_memory = images.nbytes <= self.memory_limit
        decoded: list[np.ndarray] = []
        mistakes: dict[str, str] = {}
        for index in range(0, len(images), 256):
            for path, image in images.decode_each(images.paths[index : index + 256]):
                if isinstance(image, ValueError):
                    mistakes[path] = str(image)
                elif in_memory:
                    decoded.append(image)
        _report(mistakes, len(images))
        good = [path for path in images.paths if path not in mistakes]
        inputs = torch.from_numpy(np.stack(decoded)) if in_memory else ImageFiles(good, self.shape, self.whole, invert)
        return InputsOfFiles(inputs, good, list(mistakes))


def _report(mistakes: dict[str, str], num_images: int) -> None:
    """Log the errors of skipped files by their paths; fail if no image is left."""
    if len(mistakes) == num_images:
        others = f"; nor can the {len(mistakes) - 1} other files" if len(mistakes) > 1 else ""
        raise ValueError(next(iter(mistakes.values())) + others)
    for message in list(mistakes.values())[:MAX_SHOWN]:
        _logger.warning("skipped: %s", message)
    if len(mistakes) > MAX_SHOWN:
        _logger.warning("skipped: %d more files", len(mistakes) - MAX_SHOWN)

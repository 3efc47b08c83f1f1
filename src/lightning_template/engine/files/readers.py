"""Readers of what `predict` takes: files, and what Python holds."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from lightning_template.engine.batches import Inputs, kind_of, tensor_of
from lightning_template.engine.files.given_images import given_images
from lightning_template.engine.files.given_tables import NAME, given_table
from lightning_template.engine.files.image_files import ImageFiles, decode_readable, find_images, report_skipped

if TYPE_CHECKING:
    import pyarrow as pa


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

    def take(self, given: Any, invert: bool) -> InputsOfFiles:
        """Return inputs that Python holds, as `read` returns those of files.

        Args:
            given: Inputs.
            invert: Likewise.

        Raises:
            ValueError: If they are of a kind that the data do not have.
        """
        raise ValueError(f"these data take inputs from files alone, got {kind_of(given)}")


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


class TableReader(OneFileReader):
    """Reads inputs from a table.

    Args:
        read_table: Returns the inputs `(N, ...)` in the table of a file, or in one that replaces its content.
        names: Returns the names of the columns that are read, which an array's columns are taken for.
        needs_setup: As `FileReader` takes it.
    """

    def __init__(
        self,
        read_table: "Callable[[Path, pa.Table | None], Tensor]",
        names: Callable[[], Sequence[str]],
        needs_setup: bool = True,
    ) -> None:
        super().__init__(lambda path: read_table(path, None), needs_setup)
        self.read_table = read_table
        self.names = names

    def take(self, given: Any, invert: bool) -> InputsOfFiles:
        """Return the inputs in a DataFrame, a dict of columns, a list of dicts or an array `(N, num_columns)`.

        Raises:
            ValueError: If it is something else, or lacks a column.
        """
        if invert:
            raise ValueError("`invert` is for images, and these data take a table")
        return InputsOfFiles(self.read_table(NAME, given_table(given, self.names())))


class ArrayReader(OneFileReader):
    """Reads inputs from a file of arrays.

    Args:
        read_file: Returns the inputs `(N, ...)` in a file.
        arrange: Returns the inputs in an array, such as with their channels first.
    """

    def __init__(self, read_file: Callable[[Path], Tensor], arrange: Callable[[Tensor], Tensor]) -> None:
        super().__init__(read_file)
        self.arrange = arrange

    def take(self, given: Any, invert: bool) -> InputsOfFiles:
        """Return the inputs in an array or tensor `(N, ...)`, or a list of them.

        Raises:
            ValueError: If it is something else, or of another shape.
        """
        if invert:
            raise ValueError("`invert` is for images of files, and these data take arrays")
        return InputsOfFiles(self.arrange(tensor_of(given)))


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
        inputs, good, mistakes = decode_readable(images, images.nbytes <= self.memory_limit)
        report_skipped(mistakes, len(images))
        return InputsOfFiles(inputs, [images.paths[index] for index in good], list(mistakes))

    def take(self, given: Any, invert: bool) -> InputsOfFiles:
        """Return images as `given_images` does.

        Raises:
            ValueError: If they are no images.
        """
        return InputsOfFiles(given_images(given, self.shape, self.whole, invert))

"""Image files of any size, colour and depth, decoded into bytes of one shape."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import get_worker_info

from lightning_template.engine.batches import Inputs
from lightning_template.engine.files.data_files import check_regular

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of the files that are taken for images, in lower case."""

MAX_PIXELS = 2**26
"""Number of pixels above which an image is not decoded: with four bytes each, those of 8192 x 8192 take 268 MB."""

MAX_SHOWN = 5
"""Largest number of skipped files that get a line each; further ones are counted."""

_logger = logging.getLogger(__name__)

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # PIL's others are rare, and EPS starts a program


class ImageFiles:
    """Images `(N, channels, height, width)` of bytes, decoded on demand, as `Inputs` of batches.

    Args:
        paths: Files of the images.
        shape: Channels (1 for grey, 3 for RGB), height and width that images get.
        whole: As `decode` takes it.
        invert: Likewise.
    """

    def __init__(
        self, paths: Sequence[str], shape: tuple[int, int, int], whole: bool = False, invert: bool = False
    ) -> None:
        self.paths = paths
        self.shape = shape
        self.whole = whole
        self.invert = invert

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes, decoded."""
        return len(self.paths) * int(np.prod(self.shape))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Decode the images at some indices `(num_images,)`.

        Raises:
            ValueError: If a file is no image, or a damaged one.
        """
        assert dim == 0
        images = np.empty((len(index), *self.shape), np.uint8)
        paths = [self.paths[i] for i in index.tolist()]
        for image, (_, decoded) in zip(images, self.decode_each(paths), strict=True):
            if isinstance(decoded, ValueError):
                raise decoded
            image[:] = decoded
        return torch.from_numpy(images)

    def decode_each(self, paths: Sequence[str]) -> Iterator[tuple[str, np.ndarray | ValueError]]:
        """Yield each path with its image `(channels, height, width)`, or with the error that it cannot be decoded."""

        def decode_one(path: str) -> tuple[str, np.ndarray | ValueError]:
            try:
                return path, decode(path, self.shape, whole=self.whole, invert=self.invert)
            except ValueError as error:
                return path, error

        if get_worker_info() is None:
            with ThreadPoolExecutor() as pool:  # PIL lets other threads run while it decodes
                yield from pool.map(decode_one, paths)
        else:  # other workers have the other processors
            yield from map(decode_one, paths)


def decode_readable(images: ImageFiles, in_memory: bool) -> tuple[Inputs, list[int], dict[str, str]]:
    """Decode images, and leave out those that cannot be decoded.

    Args:
        images: Images.
        in_memory: Whether decoded images are returned; otherwise they are decoded again for each batch.

    Returns:
        Images that can be decoded, their indices, and what is wrong with the others, by their paths.
    """
    decoded: list[np.ndarray] = []
    good: list[int] = []
    mistakes: dict[str, str] = {}
    for start in range(0, len(images), 256):
        for index, (path, image) in enumerate(images.decode_each(images.paths[start : start + 256]), start):
            if isinstance(image, ValueError):
                mistakes[path] = str(image)
                continue
            good.append(index)
            if in_memory:
                decoded.append(image)
    if decoded:
        return torch.from_numpy(np.stack(decoded)), good, mistakes
    return (
        ImageFiles([images.paths[index] for index in good], images.shape, images.whole, images.invert),
        good,
        mistakes,
    )


def report_skipped(mistakes: dict[str, str], num_images: int) -> None:
    """Log the errors of skipped files by their paths; fail if no image is left."""
    if len(mistakes) == num_images:
        others = f"; nor can the {len(mistakes) - 1} other files" if len(mistakes) > 1 else ""
        raise ValueError(next(iter(mistakes.values())) + others)
    for message in list(mistakes.values())[:MAX_SHOWN]:
        _logger.warning("skipped: %s", message)
    if len(mistakes) > MAX_SHOWN:
        _logger.warning("skipped: %d more files", len(mistakes) - MAX_SHOWN)


def find_images(paths: Iterable[str]) -> list[str]:
    """Return the images among files and folders, those of a folder and its folders in alphabetical order.

    Raises:
        ValueError: If there is no such file, no image in a folder, or one that is no regular file.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"there is no file or folder {path}")
        inside = images_among(_visible(path)) if path.is_dir() else [str(path)]
        if not inside:
            raise ValueError(f"no images in {path}; their names end in {', '.join(sorted(SUFFIXES))}")
        found += inside
    for file in found:
        check_regular(file)
    return found


def images_among(paths: Iterable[Path]) -> list[str]:
    """Return those of some paths that are named as images are and not hidden, in alphabetical order."""
    return sorted(str(path) for path in paths if path.suffix.lower() in SUFFIXES and not is_hidden(path))


def is_hidden(path: Path) -> bool:
    """Tell whether a file or folder is hidden; `__MACOSX` in an archive holds hidden files too."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _visible(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and its folders, without hidden ones."""
    for path in folder.rglob("*"):
        if not any(map(is_hidden, [path, *(parent for parent in path.parents if folder in parent.parents)])):
            yield path


def decode(path: str | Path, shape: tuple[int, int, int], *, whole: bool = False, invert: bool = False) -> np.ndarray:
    """Read an image as it is meant to be seen, stretched to a shape.

    A camera's orientation is applied, transparency is laid over white, 16 bits become 8, and of an animation the first
    frame is taken. The checksums of a PNG file are verified; no other of these formats has any.

    Args:
        path: File of the image.
        shape: Channels (1 for grey, 3 for RGB), height and width to return.
        whole: Whether the whole image is fitted in, with black beside it, instead of being stretched.
        invert: Whether dark becomes light.

    Returns:
        Bytes `(channels, height, width)`.

    Raises:
        ValueError: If the file is no image or a damaged one, has more than 16 bits per channel, or more than
            `MAX_PIXELS` pixels to decode.
    """
    channels, height, width = shape
    try:
        with Path(path).open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            image.draft(None, (2 * max(height, width),) * 2)  # six times faster for large JPEG files
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
            pixels = to_mode(ImageOps.exif_transpose(image), channels)
            if image.format == "PNG":  # PIL decodes it without looking at its checksums
                file.seek(0)
                Image.open(file, formats=_FORMATS).verify()
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} cannot be read as an image: it is none of {', '.join(_FORMATS)}") from error
    except Exception as error:  # PIL raises any kind of them for damaged files
        raise ValueError(f"{path} cannot be read as an image: {error}; mend or remove the file") from error
    return shaped(pixels, shape, whole=whole, invert=invert)


def shaped(pixels: Image.Image, shape: tuple[int, int, int], *, whole: bool, invert: bool) -> np.ndarray:
    """Return an image of the right channels as bytes `(channels, height, width)`; the arguments are `decode`'s."""
    channels, height, width = shape
    if invert:
        pixels = ImageOps.invert(pixels)
    size, method = (width, height), Image.Resampling.BILINEAR
    array = np.asarray(ImageOps.pad(pixels, size, method, color=0) if whole else pixels.resize(size, method))
    return array.reshape(height, width, channels).transpose(2, 0, 1)


def to_mode(image: Image.Image, channels: int) -> Image.Image:
    """Return an image with 1 channel, grey, or 3, RGB.

    Raises:
        ValueError: If it has more than 16 bits per channel.
    """
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):  # PIL would clip to 255
        values = np.asarray(image)
        if not 0 <= values.min() <= values.max() < 2**16:
            raise ValueError(f"its values must lie in 16 bits, got {values.min()} to {values.max()}")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        raise ValueError("its values are floating-point numbers on an unknown scale")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)

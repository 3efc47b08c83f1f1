"""Images that Python holds, in the shape of those of files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lightning_template.engine.batches import kind_of
from lightning_template.engine.files.image_files import shaped, to_mode


def given_images(given: Any, shape: tuple[int, int, int], whole: bool, invert: bool) -> Tensor:
    """Return images as bytes `(N, channels, height, width)`.

    Args:
        given: A PIL image or a list of images; or all in one array of bytes, `(N, height, width)` or
            `(N, height, width, channels)`. A tensor is `(N, channels, height, width)`.
        shape: Channels, height and width that images get.
        whole: Whether whole images are fitted in, as `shaped` takes it.
        invert: Whether dark becomes light.

    Raises:
        ValueError: If it is something else.
    """
    images = np.empty((len(listed := _listed(given, shape)), *shape), np.uint8)
    for number, image in enumerate(listed):
        try:
            pixels = to_mode(ImageOps.exif_transpose(_to_pil(image)), shape[0])
        except (ValueError, TypeError) as error:
            raise ValueError(f"image {number}: {error}") from error
        images[number] = shaped(pixels, shape, whole=whole, invert=invert)
    return torch.from_numpy(images)


def _listed(given: Any, shape: Sequence[int]) -> list[Any]:
    if isinstance(given, Image.Image):
        return [given]
    if isinstance(given, list | tuple):
        return list(given)
    if not isinstance(given, Tensor) and not hasattr(given, "__array__"):
        raise ValueError(
            f"the data have images {tuple(shape)}: give images, such as a list of PIL's, or paths, got {kind_of(given)}"
        )
    array = given if isinstance(given, Tensor) else np.asarray(given)
    channels = array.shape[0 if isinstance(array, Tensor) else -1] if array.ndim == 3 else 0
    if array.ndim not in (3, 4) or channels in (1, 3, 4):
        raise ValueError(f"images come one after the other, (N, ...), got {tuple(array.shape)}: put one into a list")
    return list(array)


def _to_pil(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, Tensor):
        array = image.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
        form = "a tensor (height, width) or (channels, height, width)"
    else:
        array, form = np.asarray(image), "an array (height, width) or (height, width, channels)"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        got = f"{array.dtype} {tuple(np.shape(image))}" if array.ndim else kind_of(image)
        raise ValueError(f"must be a PIL image or {form} of bytes, got {got}")
    return Image.fromarray(array)

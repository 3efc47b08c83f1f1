"""Images with their targets, decoded into memory if they fit, and without those that are damaged if asked for."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lightning_template.engine.batches import Samples
from lightning_template.engine.files.image_files import ImageFiles, decode_readable, report_skipped

_logger = logging.getLogger(__name__)


def image_samples(
    where: Path,
    parts: Mapping[str, tuple[ImageFiles, Tensor]],
    *,
    memory_limit: int,
    num_workers: int,
    skip_damaged: bool,
) -> dict[str, Samples]:
    """Return samples, by the names of the parts.

    Args:
        where: Folder, for messages.
        parts: Images and targets of each part.
        memory_limit: Bytes of decoded images that may be stored in memory; more are decoded for each batch.
        num_workers: Number of processes that do so, for messages.
        skip_damaged: Whether images that cannot be decoded are left out, and logged.

    Raises:
        ValueError: If an image cannot be decoded, or none of a part.
    """
    size = sum(images.nbytes for images, _ in parts.values())
    in_memory = size <= memory_limit
    (images, _), *_ = parts.values()
    _logger.info(
        "%s: %d images of %s, %.3g GB, %s",
        where,
        sum(len(images) for images, _ in parts.values()),
        " x ".join(map(str, images.shape)),
        size / 1e9,
        "decoded into memory" if in_memory else f"decoded for each batch by {num_workers} workers",
    )
    if skip_damaged:
        return {name: _readable(images, targets, in_memory) for name, (images, targets) in parts.items()}
    return {
        name: (images.index_select(0, torch.arange(len(images))) if in_memory else images, targets)
        for name, (images, targets) in parts.items()
    }


def _readable(images: ImageFiles, targets: Tensor, in_memory: bool) -> Samples:
    inputs, good, mistakes = decode_readable(images, in_memory)
    report_skipped(mistakes, len(images))
    return inputs, targets[torch.tensor(good)]

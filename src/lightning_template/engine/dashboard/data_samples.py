"""Samples with their labels, drawn by what they look like: images, pairs of them, masks, sequences, rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_template.engine.dashboard.data_summary import Summary, num_samples
from lightning_template.engine.drawing import (
    Panel,
    are_images,
    captioned_images,
    lines,
    paint,
    rows_of_images,
    strips,
    text,
)
from lightning_template.engine.nests import tensors_of
from lightning_template.engine.process.errors import printable
from lightning_template.engine.process.tables import table_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_IMAGES, NUM_COLUMNS, NUM_ROWS = 12, 8, 8
MAX_LINES = 6
"""Largest number of channels of a signal that is drawn as lines."""
MAX_LEGEND = 20
"""Largest number of classes whose colours are told."""
LONGEST = 22
"""Number of characters of a name that are shown."""


@dataclass(frozen=True)
class Names:
    """Names of what targets are.

    Attributes:
        kind: `class` of a sample, `classes` of its elements, `labels` that hold or not, `numbers`; empty for others.
        known: Names of the first classes or labels.
    """

    kind: str
    known: tuple[str, ...]

    def some(self, number: int) -> list[str]:
        """Return the names of the first `number` classes, which are their numbers where nobody named them."""
        return [*self.known[:number], *map(str, range(len(self.known), number))]

    def of(self, target: Tensor) -> str:
        """Return what a person reads of one sample's target."""
        if self.kind == "class":
            number = int(target.flatten()[0])
            return self.known[number] if 0 <= number < len(self.known) else str(number)
        if self.kind == "labels":
            names = self.some(len(target))
            return ", ".join(names[i] for i in (target > 0.5).nonzero().flatten().tolist()) or "none"
        if self.kind == "numbers":
            shown = ", ".join(f"{value:.4g}" for value in target.flatten()[:4].tolist())
            return shown + (", ..." if target.numel() > 4 else "")
        return ""


def names_of(summary: Summary) -> Names:
    """Return what the targets of a batch are, by their shape and type."""
    targets, first = summary.targets, next(iter(tensors_of(summary.inputs)), None)
    known = tuple(printable(f"{name:.{LONGEST}}") for name in summary.class_names)
    if not isinstance(targets, Tensor) or targets.ndim == 0 or targets.is_complex() or not len(targets):
        return Names("", known)
    per_element = False
    if first is not None and targets.shape[:2] == first.shape[:2]:  # but not of a table
        per_element = first.ndim == 3 or not first.is_floating_point()
    if targets.ndim == 2 and targets.shape[1] > 1 and not per_element and bool(((targets == 0) | (targets == 1)).all()):
        return Names("labels", known)
    if targets.is_floating_point():
        return Names("numbers" if targets.ndim <= 2 else "", known)
    return Names("class" if targets.numel() == len(targets) else "classes", known)


def sample_panels(summary: Summary) -> Iterator[Panel]:
    """Yield pictures of the first samples of a batch."""
    number = num_samples(summary)
    source = summary.batch if summary.inputs is None else summary.inputs
    tensors = [tensor for tensor in tensors_of(source) if tensor.ndim and len(tensor) == number]
    tensors = [tensor for tensor in tensors if tensor.layout == torch.strided and not tensor.is_complex()]
    tensors = [tensor for tensor in tensors if tensor.numel()]
    if not tensors:
        return
    shown = next(filter(are_images, tensors), tensors[0])
    shown = shown.float() if shown.ndim > 2 else shown
    if shown.ndim == 5 and shown.shape[2] in (1, 3) and shown.shape[1] <= MAX_LINES:
        views = {f"view {i + 1}": shown[:NUM_COLUMNS, i] for i in range(shown.shape[1])}
        yield "views of the same samples, one below the other", lambda: rows_of_images(views)
    elif shown.ndim == 4 and are_images(shown):
        yield from _image_panels(summary, shown, "samples")
    elif shown.ndim == 4:
        yield from _image_panels(summary, shown[:, :1], f"samples, the first of {shown.shape[1]} channels")
    elif shown.ndim == 5:
        middle = shown[:, :1, shown.shape[2] // 2]
        captions = _captions(summary, NUM_IMAGES)
        yield "samples, the middle slice", lambda: _captioned(middle[:NUM_IMAGES], captions)
    elif shown.ndim == 3 and shown.shape[1] <= MAX_LINES < shown.shape[2]:
        signals = {f"channel {i}": shown[:NUM_ROWS, i] for i in range(shown.shape[1])}
        yield f"samples: {'; '.join(_captions(summary, NUM_ROWS))}"[:160], lambda: lines(signals)
    elif shown.ndim == 3:
        captions = _captions(summary, NUM_IMAGES)
        yield "samples, rows and columns of each", lambda: _captioned(shown[:NUM_IMAGES].unsqueeze(1), captions)
    else:
        yield "the first samples", lambda: text(_table(summary, shown))
    yield from _sequence_panels(summary)


def _image_panels(summary: Summary, images: Tensor, heading: str) -> Iterator[Panel]:
    """Yield images with captions, or with the images or masks that are their targets below them."""
    names, targets = names_of(summary), summary.targets
    if names.kind == "classes" and targets.ndim == 3 and targets.shape == (len(images), *images.shape[2:]):
        masks = targets[:NUM_COLUMNS].long()
        masks = masks.where(masks != summary.ignored, -1)
        number = max(int(masks.max()) + 1, len(names.known), 1)
        scaled = paint(images[:NUM_COLUMNS], torch.full_like(masks, -1), number)
        rows = {"input": scaled, "target": paint(images[:NUM_COLUMNS], masks, number)}
        legend = names.some(number) if number <= MAX_LEGEND else []
        yield f"{heading}, and below them the class of each pixel", lambda: rows_of_images(rows, legend)
    elif isinstance(targets, Tensor) and are_images(targets) and len(targets) == len(images):
        first, second = images[:NUM_COLUMNS].expand(-1, 3, -1, -1), targets[:NUM_COLUMNS].float().expand(-1, 3, -1, -1)
        yield f"{heading}, and below them their targets", lambda: rows_of_images({"input": first, "target": second})
    else:
        captions = _captions(summary, NUM_IMAGES)
        yield f"{heading} and their targets", lambda: _captioned(images[:NUM_IMAGES], captions)


def _captions(summary: Summary, number: int) -> list[str]:
    names = names_of(summary)
    if not names.kind or names.kind == "classes":
        return [""] * min(number, num_samples(summary))
    return [names.of(target) for target in summary.targets[:number]]


def _captioned(images: Tensor, captions: list[str]) -> "Figure":
    finite = images.nan_to_num(0.0, 0.0, 0.0)
    return captioned_images(finite, [[caption[: LONGEST + 6]] for caption in captions], [False] * len(images))


def _sequence_panels(summary: Summary) -> Iterator[Panel]:
    """Yield the class of each position of sequences, as colours."""
    names, targets = names_of(summary), summary.targets
    if names.kind != "classes" or targets.ndim != 2:
        return
    classes = targets[:NUM_ROWS].long()
    classes = classes.where(classes != summary.ignored, -1)
    number = max(int(classes.max()) + 1, len(names.known), 1)
    if number <= MAX_LEGEND:
        yield "the class of each position; white does not count", lambda: strips({"": classes}, names.some(number))


def _table(summary: Summary, inputs: Tensor) -> str:
    """Return the first rows of inputs of one or two dimensions, each with its target."""
    flat = inputs[:NUM_ROWS].reshape(min(NUM_ROWS, len(inputs)), -1)
    most = NUM_COLUMNS if inputs.is_floating_point() else 2 * NUM_COLUMNS
    given = summary.input_names if len(summary.input_names) == flat.shape[1] else [""] * flat.shape[1]
    heads = [printable(f"{name:.12}") for name in given[:most]] + ["..."] * (flat.shape[1] > most)
    rows = [[f"{value:.4g}" for value in row[:most].tolist()] + ["..."] * (len(row) > most) for row in flat]
    captions = _captions(summary, NUM_ROWS)
    if any(captions):
        heads, rows = [*heads, "target"], [[*row, caption] for row, caption in zip(rows, captions, strict=True)]
    return table_text([heads, *rows] if any(heads[:most]) or any(captions) else rows)

"""Images side by side, in rows, with captions, and with their classes painted over them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNPAINTED = 0.6
"""Share of an image that is left in the pixels that are painted over."""


def are_images(inputs: Tensor) -> bool:
    """Tell whether inputs are grey or coloured images."""
    return inputs.ndim == 4 and inputs.shape[1] in (1, 3)


def captioned_images(images: Tensor, captions: Sequence[Sequence[str]], are_wrong: Sequence[bool]) -> "Figure":
    """Draw images with lines of text above each.

    Args:
        images: Images `(N, 1 or 3, height, width)`, in any range.
        captions: Lines of each image.
        are_wrong: Whether the text is red, for each image.
    """
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    text = 0.1 * max(map(len, captions)) + 0.12  # height above an image, in its widths
    figure, axes = canvas(1.7 * columns, 1.7 * (1 + text) * rows)
    for number, (image, lines, is_wrong) in enumerate(zip(images, captions, are_wrong, strict=True)):
        left, bottom = number % columns, -(number // columns + 1) * (1 + text)
        axes.imshow(_pixels(image), cmap="gray", extent=(left + 0.05, left + 0.95, bottom + 0.02, bottom + 0.92))
        color = "tab:red" if is_wrong else "black"
        axes.text(left + 0.05, bottom + 0.94, "\n".join(lines), fontsize=8, color=color, va="bottom")
    axes.set(xlim=(0, columns), ylim=(-rows * (1 + text), 0))
    return figure


def tiles(images: Tensor) -> "Figure":
    """Draw small images side by side, each scaled by itself.

    Args:
        images: Images `(N, 1 or 3, height, width)`, in any range.
    """
    columns = min(12, len(images))
    rows = -(-len(images) // columns)
    figure, axes = canvas(0.7 * columns, 0.7 * rows)
    for number, image in enumerate(images):
        left, bottom = number % columns, -(number // columns + 1)
        extent = (left + 0.05, left + 0.95, bottom + 0.05, bottom + 0.95)
        axes.imshow(_pixels(image), cmap="gray", extent=extent)
    axes.set(xlim=(0, columns), ylim=(-rows, 0))
    return figure


def rows_of_images(rows: Mapping[str, Tensor], names: Sequence[str] = ()) -> "Figure":
    """Draw rows of images, one below the other, on one scale, with the name of each row beside it.

    Args:
        rows: Images `(N, 1 or 3, height, width)` of each row, in any range; equally many.
        names: Names of the classes that are painted over them, for a legend.
    """
    columns = max(map(len, rows.values()))
    beside, above = 0.12 * max(map(len, rows)), 0.3 * bool(names)
    figure, axes = canvas(columns + beside, len(rows) + above)
    low, high = torch.cat([images.flatten() for images in rows.values()]).aminmax()
    for row, (name, images) in enumerate(rows.items()):
        axes.text(-0.05, -row - 0.5, name, fontsize=9, va="center", ha="right")
        for column, image in enumerate(images):
            extent = (column + 0.02, column + 0.98, -row - 0.98, -row - 0.02)
            scaled = (image - low) / (high - low).clamp(min=1e-12)
            axes.imshow(scaled.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1, extent=extent)
    _add_legend(axes, names, columns)
    axes.set(xlim=(-beside, columns), ylim=(-len(rows), above))
    return figure


def strips(rows: Mapping[str, Tensor], names: Sequence[str]) -> "Figure":
    """Draw sequences of classes as strips of colours, those of the same sample below one another.

    Args:
        rows: Class of each position `(N, length)` by name; equally many. One that is no class is left white.
        names: Name of each class.
    """
    masks = torch.stack([*rows.values()], dim=1)
    number, height, _ = masks.shape
    beside = 0.1 * max(map(len, rows))
    figure, axes = canvas(8 + beside, 0.25 * height * 1.3 * number + 0.4)
    colors = _colors(len(names))[masks.clamp(min=0)].where(masks.unsqueeze(-1) >= 0, 1.0)
    for sample, image in enumerate(colors):
        top = -1.3 * height * sample
        axes.imshow(image.numpy(), extent=(0, 8, top - height, top), aspect="auto")
        for row, name in enumerate(rows):
            axes.text(-0.05, top - row - 0.5, name, fontsize=7, va="center", ha="right")
    _add_legend(axes, names, 8)
    axes.set(xlim=(-beside, 8), ylim=(-1.3 * height * number, 1.6))
    return figure


def paint(images: Tensor, masks: Tensor, num_classes: int) -> Tensor:
    """Return colour images with the pixels of each class in a colour.

    Args:
        images: Images `(N, 1 or 3, height, width)`, in any range; others are grey.
        masks: Class of each pixel `(N, height, width)`; one that is no class is not painted.
        num_classes: Number of classes.

    Returns:
        Images `(N, 3, height, width)` in [0, 1].
    """
    if not are_images(images):
        images = torch.full_like(masks, 0.5, dtype=torch.float32).unsqueeze(1)
    scaled = torch.stack([_scaled(image) for image in images]).expand(-1, 3, -1, -1)
    colors = _colors(num_classes)[masks.clamp(0, num_classes - 1)].movedim(-1, 1)
    is_class = ((masks >= 0) & (masks < num_classes)).unsqueeze(1)
    return torch.where(is_class, UNPAINTED * scaled + (1 - UNPAINTED) * colors, scaled)


def _add_legend(axes: "Axes", names: Sequence[str], width: float) -> None:
    for number, (name, color) in enumerate(zip(names, _colors(len(names)).tolist(), strict=True)):
        axes.text(width * number / len(names), 0.1, name, fontsize=9, color=color, weight="bold")


def _colors(number: int) -> Tensor:
    from matplotlib import colormaps

    colors = colormaps["tab10" if number <= 10 else "tab20"]
    return torch.tensor([colors(index % colors.N)[:3] for index in range(number)], dtype=torch.float32)


def canvas(width: float, height: float) -> tuple["Figure", "Axes"]:
    """Return a figure of that many inches, and axes without frame all over it.

    Axes for each image take a hundred times longer.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    return figure, axes


def _pixels(image: Tensor) -> Any:
    """Return an image `(channels, height, width)` as an array `(height, width, channels)` in [0, 1]."""
    return _scaled(image).permute(1, 2, 0).numpy()


def _scaled(image: Tensor) -> Tensor:
    low, high = image.aminmax()
    return (image - low) / (high - low).clamp(min=1e-12)

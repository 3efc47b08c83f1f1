"""Images and filters as figures. matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def images(inputs: Tensor, predictions: Tensor, targets: Tensor | None, names: Sequence[str]) -> "Figure":
    """Draw images with their true class, if known, and the three most probable ones; those that are mistaken in red.

    Args:
        inputs: Images `(N, 1 or 3, height, width)`, in any range.
        predictions: Probabilities `(N, num_classes)`.
        targets: Class indices `(N,)`, if they are known.
        names: Name of each class.
    """
    columns = min(4, len(inputs))
    rows = -(-len(inputs) // columns)
    num_top = min(3, len(names))
    num_lines = num_top + (targets is not None)
    text = 0.1 * num_lines + 0.12  # height above an image, in its widths
    figure, axes = _canvas(1.7 * columns, 1.7 * (1 + text) * rows)
    for number, (image, probabilities) in enumerate(zip(inputs, predictions, strict=True)):
        left, bottom = number % columns, -(number // columns + 1) * (1 + text)
        axes.imshow(_pixels(image), cmap="gray", extent=(left + 0.05, left + 0.95, bottom + 0.02, bottom + 0.92))
        top = probabilities.topk(num_top)
        lines = [f"{names[index]} {value:.2f}" for value, index in zip(*map(Tensor.tolist, top), strict=True)]
        color = "black"
        if targets is not None:
            lines = [f"true: {names[int(targets[number])]}", *lines]
            color = "black" if top.indices[0] == targets[number] else "tab:red"
        axes.text(left + 0.05, bottom + 0.94, "\n".join(lines), fontsize=8, color=color, va="bottom")
    axes.set(xlim=(0, columns), ylim=(-rows * (1 + text), 0))
    return figure


def filters(weights: Tensor) -> "Figure":
    """Draw the filters of a convolution, each scaled by itself.

    Args:
        weights: Weights `(num_filters, 1 or 3, height, width)`.
    """
    columns = min(12, len(weights))
    rows = -(-len(weights) // columns)
    figure, axes = _canvas(0.7 * columns, 0.7 * rows)
    for number, weight in enumerate(weights):
        left, bottom = number % columns, -(number // columns + 1)
        extent = (left + 0.05, left + 0.95, bottom + 0.05, bottom + 0.95)
        axes.imshow(_pixels(weight), cmap="gray", extent=extent)
    axes.set(xlim=(0, columns), ylim=(-rows, 0))
    return figure


def _canvas(width: float, height: float) -> tuple["Figure", "Axes"]:
    """Return a figure, and axes without frame all over it: a hundred times faster than axes for each image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    return figure, axes


def _pixels(image: Tensor) -> Any:
    """Return an image `(channels, height, width)` as an array `(height, width, channels)` in [0, 1]."""
    low, high = image.aminmax()
    return ((image - low) / (high - low).clamp(min=1e-12)).permute(1, 2, 0).numpy()

"""Bars and lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure_of_axes(
    width: float, height: float, rows: int = 1, left: float = 1.3, bottom: float = 0.7
) -> tuple["Figure", list["Axes"]]:
    """Return a figure of that many inches, `left` and `bottom` of them beside and below the axes, and its axes.

    It is white, so that it can be read on a dark page too.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", dpi=100)
    axes = list(figure.subplots(rows, squeeze=False).flat)
    # matplotlib's own layout engines take longer than the drawing; room for tick labels of words
    figure.subplots_adjust(left / width, bottom / height, 1 - 0.2 / width, 1 - 0.4 / height, hspace=0.3)
    return figure, axes


def bars(values: Tensor, names: Sequence[str], label: str) -> "Figure":
    """Draw a share in [0, 1] of each class, lowest first.

    Args:
        values: Share of each class `(num_classes,)`.
        names: Name of each class.
        label: What the shares are.
    """
    sorted_values, order = values.sort(descending=True)
    figure, (axes,) = figure_of_axes(5, 1 + 0.32 * len(names))
    drawn = axes.barh([names[index] for index in order.tolist()], sorted_values.tolist(), color="tab:blue")
    axes.bar_label(drawn, fmt="%.3f", padding=3)
    axes.set(xlabel=label, xlim=(0, 1.12))
    return figure


def lines(rows: Mapping[str, Tensor]) -> "Figure":
    """Draw the numbers of a few samples, each sample in other axes, as a line for each name.

    Args:
        rows: Numbers `(N, num_values)` by name; equally many.
    """
    number = max(map(len, rows.values()))
    figure, all_axes = figure_of_axes(6, 0.5 + 1.2 * number, rows=number, left=0.8)
    for sample, axes in enumerate(all_axes):
        for name, values in rows.items():
            axes.plot(values[sample], label=name)
    all_axes[0].legend(fontsize=8)
    return figure

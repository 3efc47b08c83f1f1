"""Bars and lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_template.engine.drawing.images import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_BINS = 24
"""Number of bars of a histogram."""


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


def grouped_bars(rows: Mapping[str, Sequence[float]], names: Sequence[str], label: str) -> "Figure":
    """Draw a share in [0, 1] of each class in each of several groups, in the order of the classes.

    Args:
        rows: Share of each class `(num_classes,)` by group; equally many.
        names: Name of each class.
        label: What the shares are.
    """
    figure, (axes,) = figure_of_axes(8, 1.2 + (0.16 * len(rows) + 0.12) * len(names), left=2.2)
    height = 0.8 / len(rows)
    for number, (group, shares) in enumerate(rows.items()):
        places = [place - 0.4 + (number + 0.5) * height for place in range(len(names))]
        drawn = axes.barh(places, shares, height, label=group)
        axes.bar_label(drawn, fmt="%.3f", padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel=label, xlim=(0, 1.15 * max(1e-6, *(share for shares in rows.values() for share in shares))))
    axes.invert_yaxis()
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(rows), frameon=False)
    return figure


def histograms(cells: Mapping[str, Mapping[str, Tensor]]) -> "Figure":
    """Draw the distribution of several quantities, each in a cell with its smallest and largest value and its mean.

    All are in the same axes: a figure of many axes takes a hundred times longer.

    Args:
        cells: Finite values `(N,)` of each quantity, by group, by the name of the quantity.
    """
    columns = 4
    rows = -(-len(cells) // columns)
    figure, axes = canvas(2.2 * columns, 1.35 * (rows + 0.1))
    groups = list(dict.fromkeys(group for values in cells.values() for group in values))
    for number, (name, by_group) in enumerate(cells.items()):
        left, bottom = number % columns, -(number // columns + 1.0)
        whole = torch.cat([values.double() for values in by_group.values()])
        low, high = (whole.min().item(), whole.max().item()) if len(whole) else (0.0, 0.0)
        for group, values in by_group.items():
            counts = torch.histc(values.double(), NUM_BINS, low - (low == high), high + (low == high))
            heights = 0.62 * counts / counts.max().clamp(min=1)
            edges = left + 0.06 + 0.88 * torch.linspace(0, 1, NUM_BINS + 1)
            color = f"C{groups.index(group)}"
            axes.stairs(heights + bottom + 0.06, edges, baseline=bottom + 0.06, fill=True, alpha=0.5, color=color)
        mean = f", mean {whole.mean().item():.3g}" if len(whole) else ""
        axes.text(left + 0.06, bottom + 0.72, f"{name}\n{low:.3g} to {high:.3g}{mean}", fontsize=7)
    if len(groups) > 1:
        for number, group in enumerate(groups):
            axes.text(0.06 + 0.5 * number, 0.01, group, fontsize=8, color=f"C{number}", weight="bold")
    axes.set(xlim=(0, columns), ylim=(-rows, 0.1))
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

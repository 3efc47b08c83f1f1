"""Several figures and texts below one another, as one picture."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_template.engine.drawing.images import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = tuple[str, Callable[[], "Figure"]]
"""Heading of a part of a page, and what draws it."""


def page(panels: Sequence[Panel]) -> np.ndarray:
    """Return panels below one another, each with its heading, as bytes `(height, width, 3)`.

    Names in them are drawn as they are: a class may be called `$x_1$`, or in letters that no font has.
    """
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        parts = [_pixels(part) for heading, draw in panels for part in (text(heading, size=11, bold=True), draw())]
    width = max(part.shape[1] for part in parts)
    whites = [np.full((len(part), width - part.shape[1], 3), 255, np.uint8) for part in parts]
    return np.concatenate([np.concatenate(pair, axis=1) for pair in zip(parts, whites, strict=True)])


def text(lines: str, size: float = 8, bold: bool = False) -> "Figure":
    """Draw lines of text as they are, in letters of one width unless they are bold."""
    split = lines.splitlines() or [""]
    widest, height = max(map(len, split)), size * 1.35 / 72
    figure, axes = canvas(0.2 + widest * size * 0.62 / 72, 0.16 + height * len(split))
    font: dict[str, Any] = {"weight": "bold"} if bold else {"family": "monospace"}
    axes.text(0.1, 0.08, lines, fontsize=size, va="bottom", linespacing=1.15, **font)
    axes.set(xlim=(0, figure.get_figwidth()), ylim=(0, figure.get_figheight()))
    return figure


def _pixels(figure: "Figure") -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas_of_pixels = FigureCanvasAgg(figure)
    canvas_of_pixels.draw()  # type: ignore[no-untyped-call]
    pixels: np.ndarray = np.asarray(canvas_of_pixels.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    return pixels

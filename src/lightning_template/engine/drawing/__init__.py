"""Figures of tensors by matplotlib, which is imported when one is drawn."""

from lightning_template.engine.drawing.charts import bars, figure_of_axes, grouped_bars, histograms, lines
from lightning_template.engine.drawing.images import are_images, captioned_images, paint, rows_of_images, strips, tiles
from lightning_template.engine.drawing.pages import Panel, page, text

__all__ = [
    "Panel",
    "are_images",
    "bars",
    "captioned_images",
    "figure_of_axes",
    "grouped_bars",
    "histograms",
    "lines",
    "page",
    "paint",
    "rows_of_images",
    "strips",
    "text",
    "tiles",
]

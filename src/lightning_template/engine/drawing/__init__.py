"""Figures of tensors by matplotlib, which is imported when one is drawn."""

from lightning_template.engine.drawing.charts import bars, figure_of_axes, lines
from lightning_template.engine.drawing.images import are_images, captioned_images, paint, rows_of_images, strips, tiles

__all__ = [
    "are_images",
    "bars",
    "captioned_images",
    "figure_of_axes",
    "lines",
    "paint",
    "rows_of_images",
    "strips",
    "tiles",
]

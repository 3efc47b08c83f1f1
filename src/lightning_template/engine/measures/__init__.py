"""Metrics that are updated with several batches at once, and the mean loss."""

from lightning_template.engine.measures.measures import Measures
from lightning_template.engine.measures.r2 import R2

__all__ = ["R2", "Measures"]

"""Metrics that are updated with several batches at once, and the mean loss."""

from lightning_template.engine.measures.measures import Measures

__all__ = ["Measures"]

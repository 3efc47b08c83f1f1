"""Prediction: what `predict` reads, and the table and the picture it writes; the same in Python."""

from lightning_template.engine.prediction.files_to_predict import FilesToPredict
from lightning_template.engine.prediction.run import Run

__all__ = ["FilesToPredict", "Run"]

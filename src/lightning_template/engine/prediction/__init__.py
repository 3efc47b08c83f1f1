"""Prediction: what `predict` reads, and the table and the picture it writes."""

from lightning_template.engine.prediction.files_to_predict import FilesToPredict

__all__ = ["FilesToPredict"]

"""Prediction: what `predict` reads, and the table and the picture it writes."""

from lightning_template.engine.prediction.files_to_predict import FilesToPredict
from lightning_template.engine.prediction.in_python import predict

__all__ = ["FilesToPredict", "predict"]

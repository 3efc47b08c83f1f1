"""Callbacks: they observe a run and keep its results; none takes part in training."""

from lightning_template.callbacks.best_and_last import BestAndLast
from lightning_template.callbacks.finite_loss import FiniteLoss
from lightning_template.callbacks.prediction_writer import PredictionWriter
from lightning_template.callbacks.progress_bar import ClockedProgressBar
from lightning_template.callbacks.run_directory import RunDirectory

__all__ = ["BestAndLast", "ClockedProgressBar", "FiniteLoss", "PredictionWriter", "RunDirectory"]

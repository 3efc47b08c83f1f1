"""Callbacks: they observe a run and keep its results; only two, `FiniteLoss` and `OptimizerOptions`, act on it."""

from lightning_template.callbacks.best_and_last import BestAndLast
from lightning_template.callbacks.dashboard import Dashboard
from lightning_template.callbacks.figures import Figures
from lightning_template.callbacks.finite_loss import FiniteLoss
from lightning_template.callbacks.prediction_writer import PredictionWriter
from lightning_template.callbacks.progress_bar import ClockedProgressBar
from lightning_template.callbacks.run_directory import RunDirectory
from lightning_template.callbacks.step_monitor import StepMonitor

__all__ = [
    "BestAndLast",
    "ClockedProgressBar",
    "Dashboard",
    "Figures",
    "FiniteLoss",
    "PredictionWriter",
    "RunDirectory",
    "StepMonitor",
]

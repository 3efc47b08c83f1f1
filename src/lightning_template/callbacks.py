"""Callbacks: they observe a run and save its results; `Executions` and `FiniteLoss` act on it."""

from lightning_template.engine.callbacks.best_and_last import BestAndLast
from lightning_template.engine.callbacks.executions import Executions
from lightning_template.engine.callbacks.finite_loss import FiniteLoss
from lightning_template.engine.callbacks.progress_bar import ClockedProgressBar
from lightning_template.engine.callbacks.run_directory import RunDirectory
from lightning_template.engine.dashboard.dashboard import Dashboard
from lightning_template.engine.dashboard.figures import Figures
from lightning_template.engine.dashboard.step_monitor import StepMonitor
from lightning_template.engine.prediction.prediction_writer import PredictionWriter

__all__ = [
    "BestAndLast",
    "ClockedProgressBar",
    "Dashboard",
    "Executions",
    "Figures",
    "FiniteLoss",
    "PredictionWriter",
    "RunDirectory",
    "StepMonitor",
]

for _name in __all__:  # a run saves this path, which does not change when the engine does
    globals()[_name].__module__ = __name__

"""Tasks: LightningModules that say what is learned, from what loss, and how it is measured."""

from lightning_template.tasks.base import SupervisedTask
from lightning_template.tasks.classification import ClassificationTask
from lightning_template.tasks.regression import RegressionTask

__all__ = ["ClassificationTask", "RegressionTask", "SupervisedTask"]

"""Regression: targets are real numbers."""

from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from lightning_template.engine.measures import R2
from lightning_template.tasks.base import SupervisedTask


class RegressionTask(SupervisedTask):
    """Predicts real numbers; outputs and targets have one shape, `(N,)` or `(N, num_values)`."""

    def configure_metrics(self) -> MetricCollection:
        """Measure the mean absolute and squared errors and the coefficient of determination R2."""
        return MetricCollection({"mae": MeanAbsoluteError(), "mse": MeanSquaredError(), "r2": R2()})

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets that the loss would broadcast against the outputs.

        Raises:
            ValueError: If outputs and targets differ in shape, or targets are not floating point.
        """
        if outputs.shape != targets.shape or not targets.is_floating_point():
            raise ValueError(
                f"targets must be floating point and have the outputs' shape {tuple(outputs.shape)}, "
                f"got {targets.dtype} of shape {tuple(targets.shape)}"
            )

"""Regression: targets are real numbers."""

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from lightning_template.tasks.base import SupervisedTask


class RegressionTask(SupervisedTask):
    """Predicts real numbers; outputs and targets have one shape, `(N,)` or `(N, num_values)`."""

    def configure_metrics(self) -> MetricCollection:
        """Measure the mean absolute and squared errors and the coefficient of determination R2."""
        return MetricCollection({"mae": MeanAbsoluteError(), "mse": MeanSquaredError(), "r2": _R2()})

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


class _R2(R2Score):
    """R2 from double precision sums; single ones score targets of mean 10,000 and deviation 1 with 0.99, not 0.91."""

    def __init__(self) -> None:
        super().__init__()
        self.exact = torch.float32 if torch.backends.mps.is_available() else torch.float64  # Apple's GPUs lack it
        self.set_dtype(self.exact)

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.to(self.exact), target.to(self.exact))

    def compute(self) -> Tensor:
        if self.total < 2:  # undefined for one sample, which is no reason to stop a run
            return torch.full_like(self.residual, torch.nan).float().mean()
        return super().compute().float()

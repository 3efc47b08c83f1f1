"""The coefficient of determination R2, from sums that are precise enough."""

import torch
from torch import Tensor
from torchmetrics import R2Score

from lightning_template.engine.measures.precision import sum_dtype


class R2(R2Score):
    """R2 from double precision sums.

    Single precision scores targets of mean 10,000 and deviation 1 with 0.99, where the right value is 0.91.

    Example:
        >>> metric = R2()
        >>> metric.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute()
        tensor(0.5000)
    """

    def __init__(self) -> None:
        super().__init__()
        self.sum_dtype = sum_dtype()
        self.set_dtype(self.sum_dtype)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add predictions and targets, both of shape `(N,)` or `(N, num_values)`."""
        super().update(preds.to(self.sum_dtype), target.to(self.sum_dtype))

    def compute(self) -> Tensor:
        """Return R2 in single precision; NaN for fewer than two samples, which is no reason to stop a run."""
        if self.total < 2:
            return torch.full_like(self.residual, torch.nan).float().mean()
        return super().compute().float()

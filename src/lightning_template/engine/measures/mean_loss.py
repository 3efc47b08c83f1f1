"""The mean loss over the samples of an epoch."""

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_template.engine.measures.precision import sum_dtype


class MeanLoss(Metric):
    """Mean over samples of losses that are means over batches.

    torchmetrics 1.9's `MeanMetric` drops either losses that are not a number or, told not to, the weights of batches.

    Example:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor([1.0, 5.0]), num_samples=torch.tensor([3, 1]))
        >>> mean.compute()
        tensor(2.)
    """

    total: Tensor
    num_samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=sum_dtype()), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros((), dtype=sum_dtype()), dist_reduce_fx="sum")

    def update(self, losses: Tensor, num_samples: Tensor) -> None:
        """Add batches.

        Args:
            losses: Mean loss of each batch `(num_batches,)`.
            num_samples: Number of samples of each batch `(num_batches,)`.
        """
        self.total += (losses.to(self.total) * num_samples).sum()
        self.num_samples += num_samples.sum()

    def compute(self) -> Tensor:
        """Return the mean over all samples, a scalar in single precision."""
        return (self.total / self.num_samples).float()

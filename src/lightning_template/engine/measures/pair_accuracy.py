"""Share of views to which the other view of their sample is nearest."""

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric

NUM_COMPARED = 256
"""Number of samples that are compared with one another: all of an epoch would take the square of their number."""


class PairAccuracy(Metric):
    """Share of views to which, of the other views of `NUM_COMPARED` samples, the one of the same sample is nearest.

    Nearest is what has the largest cosine. Samples are compared in groups, in the order they come in, however they are
    divided among updates; the last group of an epoch may be smaller.

    Example:
        >>> metric = PairAccuracy()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [0.9, 0.1]], [[0.0, 1.0], [0.1, 0.9]]]), torch.zeros(2))
        >>> metric.compute()
        tensor(1.)
    """

    waiting: list[Tensor]
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("waiting", [], dist_reduce_fx="cat")
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add features `(N, 2, num_features)`; targets are not used."""
        self.waiting.append(preds)
        if sum(map(len, self.waiting)) >= NUM_COMPARED:
            *groups, rest = self._groups()
            for group in groups:
                self.right, self.total = self.right + _num_right(group), self.total + 2 * len(group)
            self.waiting = [rest]

    def compute(self) -> Tensor:
        """Return the share, a scalar."""
        groups = self._groups()
        right = self.right + sum(_num_right(group) for group in groups)
        return right / (self.total + 2 * sum(map(len, groups)))

    def _groups(self) -> list[Tensor]:
        """Return what waits in whole groups, and what is left, which may be empty."""
        waiting = torch.cat(self.waiting) if isinstance(self.waiting, list) else self.waiting
        num_whole = len(waiting) // NUM_COMPARED
        return [*waiting.tensor_split([NUM_COMPARED * (number + 1) for number in range(num_whole)])]


def _num_right(features: Tensor) -> Tensor:
    views = normalize(features.transpose(0, 1).flatten(0, 1), dim=1)
    nearest = (views @ views.T).fill_diagonal_(-torch.inf).argmax(dim=1)
    return (nearest == torch.arange(len(views), device=views.device).roll(len(features))).sum()

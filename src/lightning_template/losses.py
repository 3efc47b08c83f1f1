"""Losses that torch does not have."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FocalLoss"]


class FocalLoss(nn.Module):
    """Cross-entropy in which samples count the less, the surer the network is of their class.

    Outputs `(N, num_classes, ...)` against class indices `(N, ...)`: each sample counts `(1 - p)^gamma`, where `p` is
    the probability of its class. Outputs against floating point targets of the same shape, 0 or 1: binary, for each
    value. Outputs are logits. With `gamma` 0 it is `CrossEntropyLoss`, or `BCEWithLogitsLoss`.

    Args:
        gamma: At least 0; the larger, the less do easy samples count.
        weight: Weight of each class, `(num_classes,)`; the mean is that of `CrossEntropyLoss`, divided by the weights
            of the samples.
        alpha: In the binary case, the weight in [0, 1] of target 1; that of 0 is `1 - alpha`.
        ignore_index: Target that does not count.

    Raises:
        ValueError: If an argument is out of its bounds.

    Source: Lin et al., Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002

    Example:
        >>> round(FocalLoss(gamma=2)(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item(), 6)
        0.001804
    """

    weight: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        weight: Sequence[float] | Tensor | None = None,
        alpha: float | None = None,
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"`gamma` must be finite and at least 0, got {gamma}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must lie in [0, 1], got {alpha}")
        self.gamma, self.alpha, self.ignore_index = gamma, alpha, ignore_index
        self.register_buffer("weight", None if weight is None else torch.as_tensor(weight, dtype=torch.float32))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the batch.

        Raises:
            ValueError: If there are not as many weights as classes.
        """
        if targets.is_floating_point():
            return self._binary(outputs, targets)
        if self.weight is not None and len(self.weight) != outputs.shape[1]:
            raise ValueError(
                f"`weight` must have a value for each of {outputs.shape[1]} classes, got {len(self.weight)}"
            )
        entropy = functional.cross_entropy(outputs, targets, ignore_index=self.ignore_index, reduction="none")
        counted = targets != self.ignore_index
        weights = counted.to(entropy) if self.weight is None else self.weight.to(entropy)[targets * counted] * counted
        return (weights * (1 - (-entropy).exp()) ** self.gamma * entropy).sum() / weights.sum()

    def _binary(self, outputs: Tensor, targets: Tensor) -> Tensor:
        entropy = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        losses = (1 - (-entropy).exp()) ** self.gamma * entropy
        if self.alpha is not None:
            losses = losses * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        return losses.mean()

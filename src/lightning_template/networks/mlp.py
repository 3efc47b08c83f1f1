"""A multilayer perceptron."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn


class MLP(nn.Sequential):
    """Fully connected layers with an activation between them; maps a batch `(N, ...)` to `(N, out_features)`.

    Args:
        in_features: Number of values in one sample; samples of any shape are flattened to it.
        hidden_features: Width of each hidden layer; empty gives a linear model.
        out_features: Number of values returned for each sample.
        activation: Class of the activation after each hidden layer.
        last_activation: Class of an activation after the last layer too.
        batch_norm: Whether each hidden layer is normalised over the batch, before its activation.

    Example:
        >>> import torch
        >>> MLP(784, [512, 512], 10)(torch.rand(64, 1, 28, 28)).shape
        torch.Size([64, 10])
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: Sequence[int],
        out_features: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        last_activation: Callable[[], nn.Module] | None = None,
        batch_norm: bool = False,
    ) -> None:
        widths = [in_features, *hidden_features, out_features]
        if min(widths) < 1:
            raise ValueError(f"every width of `MLP` must be at least 1, got {widths}")
        layers: list[nn.Module] = [nn.Flatten()]
        for num_in, num_out in pairwise(widths[:-1]):
            layers.append(nn.Linear(num_in, num_out))
            if batch_norm:
                layers.append(nn.BatchNorm1d(num_out))
            layers.append(activation())
        layers.append(nn.Linear(widths[-2], out_features))
        if last_activation is not None:
            layers.append(last_activation())
        super().__init__(*layers)

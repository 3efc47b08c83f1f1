"""A multilayer perceptron for numbers and categories."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_template.networks.mlp import MLP


class CategoryMLP(nn.Module):
    """An `MLP` of numbers, and of a learned vector for each category; maps `(N, in_features)` to `(N, out_features)`.

    Args:
        in_features: Number of columns, of which the last ones are indices of categories.
        cardinalities: For each of these columns, how many values it may have.
        hidden_features: Width of each hidden layer.
        out_features: Number of values returned for each sample.
        embedding_features: Length of the vectors.
        **options: Further arguments of `MLP`.

    Example:
        >>> CategoryMLP(3, [5], [8], 2)(torch.tensor([[0.5, -1.0, 4.0]])).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        in_features: int,
        cardinalities: Sequence[int],
        hidden_features: Sequence[int],
        out_features: int,
        embedding_features: int = 8,
        **options: Any,
    ) -> None:
        super().__init__()
        self.num_numbers = in_features - len(cardinalities)
        self.embeddings = nn.ModuleList(nn.Embedding(number, embedding_features) for number in cardinalities)
        width = self.num_numbers + embedding_features * len(cardinalities)
        self.mlp = MLP(width, hidden_features, out_features, **options)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs `(N, out_features)`.

        Raises:
            ValueError: If inputs are of a precision that loses indices.
        """
        if inputs.dtype.itemsize < 4:
            raise ValueError(f"indices of categories need inputs of single precision, got {inputs.dtype}")
        numbers, indices = inputs.tensor_split([self.num_numbers], dim=1)
        vectors = [embed(column) for embed, column in zip(self.embeddings, indices.long().T, strict=True)]
        return self.mlp(torch.cat([numbers, *vectors], dim=1))  # type: ignore[no-any-return]

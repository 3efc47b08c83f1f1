"""A small convolutional network for sequences of unequal length: values for each position."""

import torch
from torch import Tensor, nn


class ConvTagger(nn.Module):
    """Residual convolutions along sequences; the reach of each is twice that of the one before.

    Positions after a sequence's end are 0 for every convolution, so no output depends on how many there are.

    Args:
        out_features: Number of values returned for each position.
        num_tokens: Number of different tokens, where sequences are tokens `(N, length)`: integers, of which 0 is what
            fills up shorter sequences.
        in_features: Number of values at each position, where sequences are numbers `(N, length, in_features)`.
        channels: Number of values for each position within the network.
        num_blocks: Number of convolutions; an output depends on `2 ** num_blocks - 1` positions before and after.
        dropout: Probability in [0, 1) of dropping a value before the last layer.

    Raises:
        ValueError: If not one of `num_tokens` and `in_features` is given.

    Example:
        >>> import torch
        >>> ConvTagger(3, num_tokens=10)(torch.tensor([[4, 1, 0, 0], [2, 5, 5, 1]])).shape
        torch.Size([2, 3, 4])
    """

    def __init__(
        self,
        out_features: int,
        num_tokens: int | None = None,
        in_features: int | None = None,
        channels: int = 64,
        num_blocks: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if (num_tokens is None) == (in_features is None):
            raise ValueError(f"give one of `num_tokens` and `in_features`, got {num_tokens} and {in_features}")
        self.takes_tokens = num_tokens is not None
        self.first = nn.Embedding(num_tokens, channels) if num_tokens else nn.Linear(in_features or 0, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=2**number, dilation=2**number) for number in range(num_blocks)
        )
        # Of each position alone: statistics of a batch would depend on the padding.
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(num_blocks))
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, out_features))

    def forward(self, sequences: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map sequences to values `(N, out_features, length)`.

        Args:
            sequences: Tokens `(N, length)` or numbers `(N, length, in_features)`.
            lengths: Number of positions of each sequence `(N,)`. If not given, tokens end before the 0s that fill
                them up, and numbers at the end of the tensor.
        """
        if lengths is not None:
            inside = torch.arange(sequences.shape[1], device=sequences.device) < lengths.unsqueeze(1)
        else:
            inside = sequences != 0 if self.takes_tokens else torch.ones_like(sequences[..., 0], dtype=torch.bool)
        inside = inside.unsqueeze(2)
        values = self.first(sequences).where(inside, 0.0)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            changed = convolution(norm(values).where(inside, 0.0).transpose(1, 2)).transpose(1, 2)
            values = values + changed.relu()
        outputs: Tensor = self.last(values).transpose(1, 2)
        return outputs

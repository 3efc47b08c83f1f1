"""Small convolutional networks for sequences of unequal length: values for each position."""

import torch
from torch import Tensor, nn


class ConvTagger(nn.Module):
    """Residual convolutions along sequences of numbers; the reach of each is twice that of the one before.

    Positions after a sequence's end are 0 for every convolution, so no output depends on how many there are.

    Args:
        input_size: Number of values at each position.
        out_features: Number of values returned for each position.
        channels: Number of values for each position within the network.
        num_blocks: Number of convolutions; an output depends on `2 ** num_blocks - 1` positions before and after.
        dropout: Probability in [0, 1) of dropping a value before the last layer.

    Example:
        >>> import torch
        >>> ConvTagger(5, 3)(torch.rand(2, 4, 5)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(
        self, input_size: int, out_features: int, channels: int = 64, num_blocks: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = nn.Linear(input_size, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=2**number, dilation=2**number) for number in range(num_blocks)
        )
        # Of each position alone: statistics of a batch would depend on the padding.
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(num_blocks))
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, out_features))

    def forward(self, sequences: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map sequences to values `(N, out_features, length)`.

        Args:
            sequences: Numbers `(N, length, input_size)`.
            lengths: Number of positions of each sequence `(N,)`; all if not given.
        """
        inside = torch.ones_like(sequences[..., :1], dtype=torch.bool)
        if lengths is not None:
            inside = (torch.arange(sequences.shape[1], device=sequences.device) < lengths.unsqueeze(1)).unsqueeze(2)
        values = self.first(sequences).where(inside, 0.0)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            changed = convolution(norm(values).where(inside, 0.0).transpose(1, 2)).transpose(1, 2)
            values = values + changed.relu()
        outputs: Tensor = self.last(values).transpose(1, 2)
        return outputs


class TokenTagger(nn.Module):
    """A `ConvTagger` of sequences of tokens.

    Args:
        num_tokens: Number of different tokens, of which 0 is what fills up shorter sequences.
        out_features: Number of values returned for each position.
        channels: Number of values for each position within the network.
        num_blocks: As `ConvTagger` has it.
        dropout: As `ConvTagger` has it.

    Example:
        >>> import torch
        >>> TokenTagger(10, 3)(torch.tensor([[4, 1, 0, 0], [2, 5, 5, 1]])).shape
        torch.Size([2, 3, 4])
    """

    def __init__(
        self, num_tokens: int, out_features: int, channels: int = 64, num_blocks: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, channels)
        self.tagger = ConvTagger(channels, out_features, channels, num_blocks, dropout)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map tokens `(N, length)` to values `(N, out_features, length)`.

        Args:
            tokens: Whole numbers below `num_tokens`.
            lengths: Number of tokens of each sequence `(N,)`; if not given, it ends before its last 0s.
        """
        if lengths is None:
            places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
            lengths = (places * (tokens != 0)).amax(1)
        outputs: Tensor = self.tagger(self.embedding(tokens), lengths)
        return outputs

"""A small U-Net for images: values for each pixel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class UNet(nn.Module):
    """Halves an image a few times, and doubles it again with what it was at each size: values for each pixel.

    Any height and width will do that leave a pixel after all halvings.

    Args:
        in_channels: Number of channels of an image.
        channels: Number of channels at each size, the first being the image's own; at least one.
        out_features: Number of values returned for each pixel.

    Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597. Here with batch norm, and padding, so that
        outputs have the size of the image.

    Example:
        >>> import torch
        >>> UNet(1, [8, 16, 32], 4)(torch.rand(2, 1, 33, 20)).shape
        torch.Size([2, 4, 33, 20])
    """

    def __init__(self, in_channels: int, channels: Sequence[int], out_features: int) -> None:
        super().__init__()
        if not channels:
            raise ValueError("`channels` must have at least one number, got none")
        pairs = list(zip([in_channels, *channels], channels, strict=False))
        self.down = nn.ModuleList(_block(num_in, num_out) for num_in, num_out in pairs)
        self.up = nn.ModuleList(_block(below + above, above) for above, below in reversed(pairs[1:]))
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(channels[0], out_features, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, in_channels, height, width)` to values `(N, out_features, height, width)`."""
        values, kept = images, []
        for number, block in enumerate(self.down):
            values = block(values if number == 0 else self.pool(values))
            kept.append(values)
        for block, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            values = block(torch.cat([interpolate(values, beside.shape[-2:]), beside], dim=1))
        outputs: Tensor = self.last(values)
        return outputs


def _block(num_in: int, num_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in (num_in, num_out):
        layers += [nn.Conv2d(number, num_out, 3, padding=1, bias=False), nn.BatchNorm2d(num_out), nn.ReLU()]
    return nn.Sequential(*layers)

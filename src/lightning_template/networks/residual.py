"""A small residual network for images, which pools early."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


class ResidualConvNet(nn.Module):
    """Stages that halve height and width, each followed by residual blocks, a pool over all pixels and a classifier.

    A stage is a 3 x 3 convolution, 2 x 2 max pooling, batch norm and ReLU, in this order: what follows the pool has a
    quarter of the work. A residual block adds two 3 x 3 convolutions, each with batch norm and ReLU, to its input.

    Args:
        in_channels: Number of channels of an image.
        channels: Number of channels after each stage; multiples of 16 are fast in bfloat16.
        residual_blocks: Number of residual blocks after each stage.
        out_features: Number of values returned for each image.
        pool: What is taken of each channel's pixels, their maximum or their mean.
        output_scale: Factor of the outputs. A small one lets the classifier learn at the rate of the convolutions.

    Raises:
        ValueError: If there is no stage, or `residual_blocks` has another length than `channels`.

    Source: Page, How to Train Your ResNet, https://github.com/davidcpage/cifar10-fast

    Example:
        >>> import torch
        >>> ResidualConvNet(1, [16, 32], [0, 1], 10)(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        residual_blocks: Sequence[int],
        out_features: int,
        pool: Literal["max", "mean"] = "max",
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not channels or len(channels) != len(residual_blocks):
            raise ValueError(
                f"`residual_blocks` must have a number for each of `channels` {list(channels)}, "
                f"got {list(residual_blocks)}"
            )
        stages: list[nn.Module] = []
        for num_in, num_out, num_blocks in zip([in_channels, *channels], channels, residual_blocks, strict=False):
            stages += [_convolution(num_in, num_out), nn.MaxPool2d(2), *_norm(num_out)]
            stages += [_ResidualBlock(num_out) for _ in range(num_blocks)]
        self.features = nn.Sequential(*stages)
        self.pool = nn.AdaptiveMaxPool2d(1) if pool == "max" else nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels[-1], out_features)
        self.output_scale = output_scale
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, in_channels, height, width)` of any size to `(N, out_features)`."""
        pooled = self.pool(self.features(images)).flatten(1)
        output: Tensor = self.output_scale * self.classifier(pooled)
        return output


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(_convolution(channels, channels), *_norm(channels)),
            *(_convolution(channels, channels), *_norm(channels)),
        )

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = images + self.layers(images)
        return output


def _convolution(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)  # batch norm has the bias


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()]

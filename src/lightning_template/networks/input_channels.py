"""Lets a network made for colour images take images with another number of channels."""

from torch import Tensor, nn


class WithInputChannels(nn.Module):
    """Any network with its first convolution replaced by one for another number of input channels.

    The new convolution starts from random weights, also where `network` is pretrained.

    Args:
        network: Network whose first convolution reads the images, for example `torchvision.models.resnet18`.
        in_channels: Number of channels of an image.

    Raises:
        ValueError: If `network` has no two-dimensional convolution.

    Example:
        >>> import torch
        >>> from torchvision.models import resnet18
        >>> WithInputChannels(resnet18(num_classes=10), in_channels=1)(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, network: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.network = network
        name, conv = next(((n, m) for n, m in self.named_modules() if isinstance(m, nn.Conv2d)), (None, None))
        if name is None or conv is None:
            raise ValueError(f"`network` must have a torch.nn.Conv2d to replace, got {type(network).__name__}")
        replacement = nn.Conv2d(
            in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]  # pairs of ints, typed as tuples of any length
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
        )
        self.set_submodule(name, replacement)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, in_channels, height, width)` to whatever `network` returns for them."""
        output: Tensor = self.network(images)
        return output

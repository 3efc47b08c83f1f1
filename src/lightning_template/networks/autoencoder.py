"""Autoencoders of images and of plain numbers."""

from collections.abc import Sequence

from torch import Tensor, nn

from lightning_template.networks.mlp import MLP


class Autoencoder(nn.Module):
    """Two perceptrons: one squeezes inputs into a few numbers, the other makes inputs of them again.

    Args:
        in_features: Number of values of an input.
        hidden_features: Number of units of each hidden layer; those of the second perceptron in reverse order.
        latent_features: Number of values in the middle.
        dropout: Probability in [0, 1) that a value of an input is hidden in training, and is to be guessed.

    Example:
        >>> import torch
        >>> Autoencoder(12, [8], 2)(torch.rand(5, 3, 4)).shape
        torch.Size([5, 3, 4])
    """

    def __init__(
        self, in_features: int, hidden_features: Sequence[int], latent_features: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Dropout(dropout), MLP(in_features, hidden_features, latent_features))
        self.decoder = MLP(latent_features, hidden_features[::-1], in_features)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(N, ...)` of `in_features` values to outputs of their shape."""
        outputs: Tensor = self.decoder(self.encoder(inputs))
        return outputs.view(inputs.shape)


class ConvAutoencoder(nn.Module):
    """Convolutions that halve an image squeeze it into a few numbers; others make an image of them again.

    Args:
        in_channels: Number of channels of an image.
        channels: Number of channels after each convolution, which halves height and width.
        latent_features: Number of values in the middle.
        image_size: Height and width of an image in pixels, a multiple of 2 to the number of convolutions.
        dropout: Probability in [0, 1) that a pixel of an input is hidden in training, and is to be guessed.

    Raises:
        ValueError: If `image_size` is no such multiple, or there is no convolution.

    Example:
        >>> import torch
        >>> ConvAutoencoder(3, [8, 16], 4, image_size=28)(torch.rand(5, 3, 28, 28)).shape
        torch.Size([5, 3, 28, 28])
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], latent_features: int, image_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not channels or image_size < 1 or image_size % 2 ** len(channels):
            raise ValueError(
                f"`channels` must have at least one number, and `image_size` be a multiple of {2 ** len(channels)} for "
                f"{len(channels)} of them, got {image_size}"
            )
        small = (channels[-1], *[image_size // 2 ** len(channels)] * 2)
        size = small[0] * small[1] * small[2]
        encoder: list[nn.Module] = [nn.Dropout(dropout)]
        decoder: list[nn.Module] = [nn.Linear(latent_features, size), nn.Unflatten(1, small)]
        for above, below in zip([in_channels, *channels], channels, strict=False):
            encoder += [nn.Conv2d(above, below, 4, stride=2, padding=1), nn.ReLU()]
        for below, above in zip(channels[::-1], [*channels[-2::-1], in_channels], strict=True):
            decoder += [nn.ReLU(), nn.ConvTranspose2d(below, above, 4, stride=2, padding=1)]
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(size, latent_features))
        self.decoder = nn.Sequential(*decoder)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, in_channels, image_size, image_size)` to images of the same shape."""
        outputs: Tensor = self.decoder(self.encoder(images))
        return outputs

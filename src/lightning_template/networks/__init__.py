"""Plain `nn.Module` networks: they know torch and nothing else of this project."""

from lightning_template.networks.autoencoder import Autoencoder, ConvAutoencoder
from lightning_template.networks.category_mlp import CategoryMLP
from lightning_template.networks.convnet import ConvNet
from lightning_template.networks.input_channels import WithInputChannels
from lightning_template.networks.mlp import MLP
from lightning_template.networks.residual import ResidualConvNet
from lightning_template.networks.sequences import ConvTagger, TokenTagger
from lightning_template.networks.unet import UNet
from lightning_template.networks.with_head import WithHead

__all__ = [
    "MLP",
    "Autoencoder",
    "CategoryMLP",
    "ConvAutoencoder",
    "ConvNet",
    "ConvTagger",
    "ResidualConvNet",
    "TokenTagger",
    "UNet",
    "WithHead",
    "WithInputChannels",
]

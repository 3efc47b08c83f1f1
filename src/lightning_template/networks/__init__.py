"""Plain `nn.Module` networks: they know torch and nothing else of this project."""

from lightning_template.networks.category_mlp import CategoryMLP
from lightning_template.networks.convnet import ConvNet
from lightning_template.networks.input_channels import WithInputChannels
from lightning_template.networks.mlp import MLP

__all__ = ["MLP", "CategoryMLP", "ConvNet", "WithInputChannels"]

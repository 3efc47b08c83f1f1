"""Sizes of inputs, classes and targets: their names in networks and tasks, and their values in the data."""

from lightning_template.engine.sizes.balance import balanced_pos_weight, balanced_weights
from lightning_template.engine.sizes.data_sizes import DataSizes
from lightning_template.engine.sizes.names import CLASSES, IMAGENET, OUTPUTS, ROLES, TOKENS
from lightning_template.engine.sizes.preparing import look_at
from lightning_template.engine.sizes.values import SizeValues

__all__ = [
    "CLASSES",
    "IMAGENET",
    "OUTPUTS",
    "ROLES",
    "TOKENS",
    "DataSizes",
    "SizeValues",
    "balanced_pos_weight",
    "balanced_weights",
    "look_at",
]

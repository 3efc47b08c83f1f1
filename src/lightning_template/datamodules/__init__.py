"""Datamodules: where the data come from, how they are verified and split, and in what order they are batched."""

from lightning_template.datamodules.fashion_mnist import FashionMNISTDataModule
from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.datamodules.line import LineDataModule

__all__ = ["FashionMNISTDataModule", "InMemoryDataModule", "LineDataModule"]

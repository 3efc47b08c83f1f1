"""Data modules: each loads one kind of data; split, order and batches are those of `InMemoryDataModule`."""

from lightning_template.datamodules.fashion_mnist import FashionMNISTDataModule
from lightning_template.datamodules.image_folder import ImageFolderDataModule
from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.datamodules.line import LineDataModule
from lightning_template.datamodules.sequences import SequencesDataModule
from lightning_template.datamodules.shapes import ShapesDataModule
from lightning_template.datamodules.table import TableDataModule
from lightning_template.datamodules.tensors import TensorsDataModule

__all__ = [
    "FashionMNISTDataModule",
    "ImageFolderDataModule",
    "InMemoryDataModule",
    "LineDataModule",
    "SequencesDataModule",
    "ShapesDataModule",
    "TableDataModule",
    "TensorsDataModule",
]

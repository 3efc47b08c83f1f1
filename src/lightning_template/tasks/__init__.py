"""Tasks: LightningModules that say what is learned, from what loss, and how it is measured."""

from lightning_template.tasks.autoencoder import AutoencoderTask
from lightning_template.tasks.base import SupervisedTask
from lightning_template.tasks.classification import ClassificationTask
from lightning_template.tasks.multilabel import MultilabelTask
from lightning_template.tasks.pairs import NTXentLoss, PairsTask
from lightning_template.tasks.regression import RegressionTask
from lightning_template.tasks.segmentation import SegmentationTask
from lightning_template.tasks.sequence_labelling import SequenceLabellingTask

__all__ = [
    "AutoencoderTask",
    "ClassificationTask",
    "MultilabelTask",
    "NTXentLoss",
    "PairsTask",
    "RegressionTask",
    "SegmentationTask",
    "SequenceLabellingTask",
    "SupervisedTask",
]

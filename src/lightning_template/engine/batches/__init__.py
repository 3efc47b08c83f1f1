"""Batches: the split, the order, and whole batches from tensors or files."""

from lightning_template.engine.batches.checks import (
    check_at_least,
    check_fractions,
    check_samples,
    check_targets_differ,
)
from lightning_template.engine.batches.given import kind_of, like_stored, tensor_of
from lightning_template.engine.batches.held import data_set, held_targets, listed_targets
from lightning_template.engine.batches.inputs import Inputs, Samples
from lightning_template.engine.batches.loaders import (
    InMemoryLoader,
    Loader,
    after_setup,
    evaluation_loader,
    training_loader,
)
from lightning_template.engine.batches.order import BatchIndex, BatchOrder, mix_seeds
from lightning_template.engine.batches.split import Part, Parts, split, split_indices
from lightning_template.engine.batches.statistics import mean_and_std
from lightning_template.engine.batches.tensor_batches import InputBatches, TensorBatches

__all__ = [
    "BatchIndex",
    "BatchOrder",
    "InMemoryLoader",
    "InputBatches",
    "Inputs",
    "Loader",
    "Part",
    "Parts",
    "Samples",
    "TensorBatches",
    "after_setup",
    "check_at_least",
    "check_fractions",
    "check_samples",
    "check_targets_differ",
    "data_set",
    "evaluation_loader",
    "held_targets",
    "kind_of",
    "like_stored",
    "listed_targets",
    "mean_and_std",
    "mix_seeds",
    "split",
    "split_indices",
    "tensor_of",
    "training_loader",
]

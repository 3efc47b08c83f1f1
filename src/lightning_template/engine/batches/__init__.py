"""Batches: the split, the order, and whole batches from tensors or files."""

from lightning_template.engine.batches.loading import (
    BatchOrder,
    InMemoryLoader,
    InputBatches,
    Inputs,
    TensorBatches,
    split_indices,
)

__all__ = ["BatchOrder", "InMemoryLoader", "InputBatches", "Inputs", "TensorBatches", "split_indices"]

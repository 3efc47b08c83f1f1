"""Samples of a set as tables: as many as a few batches do not have."""

from itertools import islice
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lightning_template.testing.batches import pair
from lightning_template.testing.exceptions import CheckSkipped
from lightning_template.testing.subject import Subject

MAX_SCANNED = 2000


class Table(NamedTuple):
    """Inputs and targets of the first samples that a loader serves."""

    inputs: Tensor
    targets: Tensor
    is_whole: bool


def scan(loader: Any) -> Table:
    """Return the first samples of a loader whose batches are pairs.

    Raises:
        CheckSkipped: If they are none, or their samples differ in shape.
    """
    inputs: list[Tensor] = []
    targets: list[Tensor] = []
    number, is_whole = 0, True
    for batch in islice(loader, MAX_SCANNED) if not isinstance(loader, dict | list) else ():
        parts = pair(batch)
        if parts is None or len(parts[0]) != len(parts[1]) or (inputs and parts[0].shape[1:] != inputs[0].shape[1:]):
            break
        inputs.append(parts[0])
        targets.append(parts[1])
        number += len(parts[0])
        if number >= MAX_SCANNED:
            is_whole = False
            break
    if not inputs or targets[0].shape[1:] != targets[-1].shape[1:]:
        raise CheckSkipped("batches are no pairs of inputs and targets of one shape")
    return Table(torch.cat(inputs), torch.cat(targets), is_whole)


def second_data(subject: Subject) -> LightningDataModule:
    """Return a second datamodule of the same seed, to be compared with the first one."""
    return subject.new_data()


def train_table(subject: Subject) -> Table:
    """Return training samples in the order in which they come."""
    return scan(subject.data.train_dataloader())


def val_table(subject: Subject) -> Table:
    """Return samples of the first validation set."""
    loaders = subject.loaders(subject.data, "val")
    if not loaders:
        raise CheckSkipped("there are no validation data")
    return scan(loaders[0])


def features(table: Table) -> Tensor:
    """Return inputs as a matrix with a row for each sample; what is missing is 0."""
    return table.inputs.reshape(len(table.inputs), -1).double().nan_to_num(0.0)


def dataset_of(loader: Any) -> Any:
    """Return the dataset of a DataLoader whose samples have numbers; None if there is none."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    try:
        loader.dataset[0]
    except Exception:  # it is asked for something else, such as whole batches
        return None
    return loader.dataset

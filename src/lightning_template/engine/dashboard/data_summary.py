"""Summary of the data: a batch as the step gets it, and the targets of each split."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import TensorDataset

from lightning_template.engine.batches import BatchIndex, TensorBatches, data_set, held_targets
from lightning_template.engine.callbacks.observer import untouched
from lightning_template.engine.dashboard.kinds import known_names, pair
from lightning_template.engine.nests import map_tensors, tensors_of
from lightning_template.engine.process.errors import one_line

MAX_VALUES = 2**22
"""Largest number of target values of a split that are counted; of more, samples at equal distances."""
MAX_ROWS = 5000
"""Largest number of samples whose columns are drawn, or that are read from a loader which holds no targets."""
MAX_SECONDS = 5.0
"""Time after which no further batch of a split is read."""


@dataclass
class Split:
    """Targets of a split.

    Attributes:
        number: Number of its samples; None if nobody knows it.
        targets: Targets `(num_seen, ...)` of those that were looked at; None if they are no tensors.
    """

    number: int | None = None
    targets: Tensor | None = None


@dataclass
class Summary:
    """What a network gets.

    Attributes:
        batch: First training batch, as the step gets it, on the CPU.
        inputs: Its inputs; None if nobody knows which part they are.
        targets: Its targets; None likewise, or if there are none.
        splits: The splits by name, training first.
        rows: Inputs of more training samples `(num_rows, num_columns)`, where inputs are tables; else None.
        class_names: Names of the classes or labels; may be empty.
        input_names: Names of the columns; may be empty.
        ignored: Target of elements that do not count.
        failures: Why a split could not be looked at, by its name.
    """

    batch: Any
    inputs: Any = None
    targets: Any = None
    splits: dict[str, Split] = field(default_factory=dict)
    rows: Tensor | None = None
    class_names: list[str] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    ignored: int = -100
    failures: dict[str, str] = field(default_factory=dict)


def summarise_data(
    trainer: Trainer, module: LightningModule, batch: Any, loaders: Mapping[str, Any], reads: bool
) -> Summary:
    """Return what a network gets.

    Args:
        trainer: Trainer that fits.
        module: What it fits.
        batch: First training batch, as the step gets it.
        loaders: Loader of each split by name, training first.
        reads: Whether samples may be read where a loader does not hold its targets.
    """

    def take(given: Any) -> tuple[Any, Any]:
        with suppress(Exception):  # of a user's `unpack`: a batch that it refuses has no known parts
            return pair(module, given) or (None, None)
        return None, None

    with untouched(module):
        inputs, targets = take(batch)
        batch, inputs, targets = map_tensors(lambda tensor: tensor.detach().cpu(), (batch, inputs, targets))
        summary = Summary(batch, inputs, targets, class_names=known_names(trainer))
        summary.input_names = _input_names(trainer)
        ignored = getattr(getattr(module, "loss", None), "ignore_index", -100)
        summary.ignored = ignored if isinstance(ignored, int) else -100
        is_table = isinstance(inputs, Tensor) and inputs.ndim == 2 and inputs.is_floating_point()
        is_table = is_table and inputs.layout == torch.strided
        if is_table and loaders:
            summary.rows = _held_rows(next(iter(loaders.values())), inputs)
        for name, loader in loaders.items():
            try:
                summary.splits[name], rows = _split(loader, take if reads else None)
            except Exception as error:  # of a user's data set
                summary.failures[name], rows = one_line(error), None
            if is_table and summary.rows is None and rows is not None and rows.shape[1:] == inputs.shape[1:]:
                summary.rows = rows
        if is_table and summary.rows is None:
            summary.rows = inputs
    return summary


def _input_names(trainer: Trainer) -> list[str]:
    names = getattr(trainer.datamodule, "input_names", None)  # type: ignore[attr-defined]  # the Trainer's parts set it
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def _held_rows(loader: Any, like: Tensor) -> Tensor | None:
    """Return inputs of training samples at equal distances, as the network gets them; None if they have to be read."""
    held = data_set(loader)
    if isinstance(held, TensorBatches):
        rows = held[BatchIndex(_evenly(len(held), MAX_ROWS), (0, 0, 0, 0))][0].cpu()
        return rows if rows.shape[1:] == like.shape[1:] else None
    if isinstance(held, TensorDataset) and held.tensors[0].shape[1:] == like.shape[1:]:
        return held.tensors[0][_evenly(len(held), MAX_ROWS)].detach().cpu()
    return None


def _evenly(number: int, most: int) -> Tensor:
    return torch.linspace(0, max(0, number - 1), min(number, most)).long()


def _split(loader: Any, take: Callable[[Any], tuple[Any, Any]] | None) -> tuple[Split, Tensor | None]:
    """Return the targets of a split, and its inputs where they had to be read and are a table."""
    split = Split()
    with suppress(TypeError, NotImplementedError):  # a stream has no length
        split.number = len(data_set(loader))
    held = held_targets(loader)
    if held is not None:
        stored, positions = held
        size = max(1, stored[:1].numel())
        chosen = positions[_evenly(len(positions), max(1, MAX_VALUES // size)).to(positions.device)]
        split.targets, split.number = stored[chosen.to(stored.device)].cpu(), len(positions)
        return split, None
    return (split, None) if take is None else _read(loader, split, take)


def _read(loader: Iterable[Any], split: Split, take: Callable[[Any], tuple[Any, Any]]) -> tuple[Split, Tensor | None]:
    targets: list[Tensor] = []
    rows: list[Tensor] = []
    until = time.monotonic() + MAX_SECONDS
    for batch in loader:
        x, y = take(batch)
        if isinstance(y, Tensor):
            targets.append(y.detach().cpu())
        if isinstance(x, Tensor) and x.ndim == 2 and x.is_floating_point():
            rows.append(x.detach().cpu())
        if not isinstance(y, Tensor) or sum(map(len, targets)) >= MAX_ROWS or time.monotonic() > until:
            break
    split.targets, found = _joined(targets), _joined(rows)
    return split, found


def _joined(parts: list[Tensor]) -> Tensor | None:
    """Return tensors as one; None if there is none. Those of unequal shapes, such as sequences, are flattened."""
    if not parts or any(part.ndim == 0 for part in parts):
        return None
    if len({part.shape[1:] for part in parts}) > 1:
        if len({part.ndim for part in parts}) > 1 or parts[0].is_floating_point():
            return None
        return torch.cat([part.flatten() for part in parts])
    return torch.cat(parts)


def num_samples(summary: Summary) -> int:
    """Return the number of samples in the batch; 0 if it has no tensors."""
    parts = tensors_of(summary.inputs) or tensors_of(summary.batch)
    return next((len(tensor) for tensor in parts if tensor.ndim), 0)

"""Checks of samples of different lengths, which a batch pads to one."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_template.engine.libraries.torch_private import RandomOperators
from lightning_template.testing.batches import leaves_of, map_leaves, take
from lightning_template.testing.checks.comparing import close, difference
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject

MAX_ITEMS = 32
CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.Conv3d


def padding_changes_nothing(subject: Subject) -> None:
    """In evaluation mode, the outputs of a short sample do not depend on how far its batch pads it."""
    alone, both, row, lengths = _collated(subject) or _cut(subject)
    task = subject.task()
    with RandomOperators() as drawn:
        short, padded = subject.outputs(task, alone), subject.outputs(task, both)
    if drawn.names:
        raise CheckSkipped("`forward` draws random numbers")
    compared = False
    for found, expected in zip(padded, short, strict=True):
        if found.ndim == 0 or expected.ndim != found.ndim or len(expected) != 1 or len(found) != 2:
            continue
        parts = [_narrowed(found[row], expected[0].shape, at_end) for at_end in (False, True)]
        if any(part is None for part in parts):
            continue
        compared = True
        if not any(close(part, expected[0], 1e-4) for part in parts if part is not None):
            _tell(task, f"{_apart(parts, expected[0])}, for a sample of {lengths[0]} beside one of {lengths[1]}")
    if not compared:
        raise CheckSkipped("`forward` does not return outputs for each sample")


def _tell(task: nn.Module, what: str) -> None:
    message = (
        f"padding changes the outputs of a sample, {what}, so they depend on which samples share its batch: use its "
        "length or a mask (`pack_padded_sequence`, `src_key_padding_mask`, a mean over real steps alone)"
    )
    if any(isinstance(module, CONVOLUTIONS) for module in task.modules()):
        raise CheckAdvised(f"{message}; windows of convolutions reach into padding by their nature")
    raise CheckFailed(message)


def _narrowed(outputs: Tensor, shape: Sequence[int], at_end: bool) -> Tensor | None:
    """Return the part of outputs that has a shape, the first or the last along each dimension."""
    for dim, (size, wanted) in enumerate(zip(outputs.shape, shape, strict=True)):
        if size < wanted:
            return None
        outputs = outputs.narrow(dim, size - wanted if at_end else 0, wanted)
    return outputs


Padded = tuple[Any, Any, int, tuple[int, int]]


def _collated(subject: Subject) -> Padded | None:
    """Return a short sample alone, with a longer one, its row there, and both lengths; None if all are as long."""
    loader = subject.data.train_dataloader()
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset) or loader.batch_size is None:
        return None
    dataset: Any = loader.dataset
    items = [dataset[index] for index in range(min(len(dataset), MAX_ITEMS))]
    single = [loader.collate_fn([item]) for item in items]
    sizes = [sum(leaf.numel() for leaf in leaves_of(batch) if isinstance(leaf, Tensor)) for batch in single]
    if not sizes or min(sizes) == max(sizes):
        return None
    short, long = sizes.index(min(sizes)), sizes.index(max(sizes))
    alone, both = single[short], loader.collate_fn([items[short], items[long]])
    for one, two, other in zip(leaves_of(alone), leaves_of(both), leaves_of(single[long]), strict=True):
        if isinstance(one, Tensor) and one.shape != other.shape and two.shape == (2, *other.shape[1:]):
            for row in (0, 1):
                ends = [_narrowed(two[row], one.shape[1:], at_end) for at_end in (False, True)]
                if any(end is not None and torch.equal(end, one[0]) for end in ends):
                    lengths = next((a, b) for a, b in zip(one.shape[1:], other.shape[1:], strict=True) if a != b)
                    return alone, both, row, lengths
    return None


def _shortened(leaf: Any, length: int, size: int) -> Any:
    return leaf[:, :size] if isinstance(leaf, Tensor) and leaf.shape[1:2] == (length,) else leaf


def _apart(parts: Sequence[Tensor | None], expected: Tensor) -> str:
    return next(difference(part, expected) for part in parts if part is not None)


def _cut(subject: Subject) -> Padded:
    """Return a short sample without its padding, and with it beside a longer one, where all have one length."""
    batch = subject.train_samples
    for leaf in leaves_of(batch):
        if not isinstance(leaf, Tensor) or leaf.ndim not in (2, 3) or leaf.shape[1] < 3:
            continue
        if leaf.is_floating_point() == (leaf.ndim == 2):
            continue  # a table of numbers, whose columns are no steps
        padding, length = (0 if leaf.ndim == 3 else leaf[:, -1].mode().values), leaf.shape[1]
        is_padding = (leaf == padding).reshape(len(leaf), length, -1).all(2)
        own = (~is_padding).sum(1)
        at_end = torch.arange(length) >= own[:, None]
        if not torch.equal(is_padding, at_end) or len(torch.unique(own)) < 3 or own.min() == 0:
            continue  # it stands between others too: it means something
        short, long = int(own.argmin()), int(own.argmax())
        both, size = take(batch, [short, long]), int(own.min())
        alone = map_leaves(
            partial(_shortened, length=length, size=size),
            take(batch, [short]),
        )
        return alone, both, 0, (size, int(own.max()))
    raise CheckSkipped("samples are not padded")

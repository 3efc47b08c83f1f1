"""Checks of random numbers in data: augmentation in evaluation, and workers that draw the same."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lightning_template.testing.batches import copied, leaves_of, pair, replaced
from lightning_template.testing.checks.comparing import close_numbers, difference, equal
from lightning_template.testing.checks.data import fingerprints
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.places import place_of
from lightning_template.testing.samples import dataset_of
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import quiet_trainer

NUM_ITEMS = 8


def evaluation_data_stay(subject: Subject) -> None:
    """Validation and test samples are not changed at random, as those of training may be."""
    for stage in ("val", "test"):
        for loader in subject.loaders(subject.data, stage):
            dataset = dataset_of(loader)
            if dataset is None:
                continue
            for index in range(min(len(dataset), NUM_ITEMS)):
                one, other = (_item(dataset, index, seed) for seed in (0, 1))
                _require_equal(subject, one, other, f"sample {index} of {stage}", place_of(dataset, "__getitem__"))
    if subject.validates(subject.task()):
        one, other = (_seen_by_validation(subject, seed) for seed in (0, 1))
        _require_equal(subject, one, other, "a validation batch, after the hooks around its way to the device,", "")


def _item(dataset: Any, index: int, seed: int) -> Any:
    seed_all(seed)
    return dataset[index]


def _seen_by_validation(subject: Subject, seed: int) -> Any:
    task, keep = subject.task(), KeepBatch()
    seed_all(seed)
    data = subject.data_with(val=subject.val_loaders([subject.val_batches[:1]]))
    quiet_trainer(callbacks=[keep], limit_val_batches=1).validate(task, datamodule=data, verbose=False)
    return keep.batch


class KeepBatch(Callback):
    """Keeps the first batch of validation."""

    batch: Any = None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Copy it."""
        self.batch = copied(batch)


def _require_equal(subject: Subject, one: Any, other: Any, what: str, place: str) -> None:
    leaves = [
        (a, b) for a, b in zip(leaves_of(one), leaves_of(other), strict=True) if isinstance(a, Tensor | np.ndarray)
    ]
    tensors = [(torch.as_tensor(a), torch.as_tensor(b)) for a, b in leaves]
    changed = [(a, b) for a, b in tensors if not equal(a, b)]
    if not changed:
        return
    message = f"{what} is another one each time it is read, {difference(changed[0][1], changed[0][0])}"
    parts = pair(one)
    is_input = parts is not None and len(changed) == 1 and changed[0][0].data_ptr() == parts[0].data_ptr()
    if is_input and _learns_targets(subject):
        raise CheckFailed(
            f"{message}: random changes of inputs belong to training alone, so scores are those of other samples and "
            "differ from run to run; often one dataset, with its transform, split in two",
            place,
        )
    raise CheckAdvised(f"{message}: right where random views are what is learned from, and otherwise noise", place)


def _learns_targets(subject: Subject) -> bool:
    """Tell whether the loss depends on targets, of which there are fewer numbers than of inputs."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts is None or parts[1].numel() >= parts[0].numel() or len(torch.unique(parts[1])) < 2:
        return parts is not None and parts[1].numel() < parts[0].numel()
    rolled = next(turned for turned in (parts[1].roll(n, 0) for n in range(1, 9)) if not equal(turned, parts[1]))
    one, other = (subject.losses(subject.task(), [b])[0] for b in (batch, replaced(batch, parts[1], rolled)))
    return not close_numbers(one, other)


def workers_draw_their_own(subject: Subject) -> None:
    """Workers of a loader do not repeat one another."""
    loader = subject.data.train_dataloader()
    if not isinstance(loader, DataLoader) or not loader.num_workers:
        raise CheckSkipped("the training loader has no workers")
    dataset: Any = loader.dataset
    if isinstance(dataset, IterableDataset):
        if loader.num_workers > 1:
            _require_shares(loader)
        return
    if loader.worker_init_fn is not None:
        return
    for name, generator in _generators(dataset):
        before = _state(generator)
        one, other = dataset[0], dataset[0]
        if _state(generator) != before and not all(map(_alike, leaves_of(one), leaves_of(other))):
            raise CheckFailed(
                f"samples are changed by numbers from `{name}`, of which each of {loader.num_workers} workers has a "
                "copy in the same state, in each epoch the same: draw from torch's own generator, which each worker "
                "seeds otherwise",
                place_of(dataset, "__getitem__"),
            )


def _require_shares(loader: Any) -> None:
    counts = Counter(islice(fingerprints(loader), 200 * loader.num_workers))
    single = Counter(
        islice(fingerprints(DataLoader(loader.dataset, loader.batch_size, collate_fn=loader.collate_fn)), 50)
    )
    repeated = [counts[key] / number for key, number in single.items() if key in counts]
    if repeated and min(repeated) >= loader.num_workers:
        raise CheckFailed(
            f"{loader.num_workers} workers serve each sample {min(repeated):g} times: each goes through the whole "
            "stream; share it by `torch.utils.data.get_worker_info()`",
            place_of(loader.dataset, "__iter__"),
        )


def _alike(one: Any, other: Any) -> bool:
    return equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else np.array_equal(one, other)


def _generators(dataset: Any) -> Iterator[tuple[str, Any]]:
    """Yield the generators of a dataset, and of the datasets that it is made of."""
    for name, value in getattr(dataset, "__dict__", {}).items():
        if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState):
            yield name, value
        elif name in ("dataset", "transform", "base"):
            yield from ((f"{name}.{inner}", generator) for inner, generator in _generators(value))


def _state(generator: Any) -> str:
    if isinstance(generator, torch.Generator):
        return str(generator.get_state().tolist())
    state = generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.get_state()
    return (
        repr(state)
        if isinstance(state, dict)
        else repr([part if np.isscalar(part) else np.asarray(part).tolist() for part in state])
    )

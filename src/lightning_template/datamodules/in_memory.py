"""What datamodules share whose data fit in memory: split, order, batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_template.engine.batches import (
    BatchOrder,
    InMemoryLoader,
    InputBatches,
    Inputs,
    TensorBatches,
    split_indices,
)
from lightning_template.engine.files import DataDigest
from lightning_template.transforms import Augmentation

Loader = InMemoryLoader | DataLoader[tuple[Tensor, Tensor]]
Split = tuple[Inputs, Tensor]

CHUNK_BYTES = 2**24
"""Bytes of samples that are looked at together where all are: what is in a file may be larger than memory."""


class InMemoryDataModule(LightningDataModule):
    """Splits tensors into training and validation sets and serves whole batches of them.

    A subclass defines `load`, and `prepare_data` if the data must be fetched first.

    Args:
        batch_size: Number of samples in a training batch, on each device.
        eval_batch_size: Number of samples in a batch of validation, test and prediction; no result depends on it.
        val_fraction: Fraction in [0, 1) of the training samples that are kept for validation, drawn by `seed`, unless
            the data have a validation set of their own.
        test_fraction: Fraction in [0, 1) of the samples that are kept for the test, drawn by `seed` before those for
            validation; 0.1 if not given. Data that have a test set of their own take none.
        val_on_test: Whether the test set serves for validation. Tutorials do so; their scores are optimistic.
        shuffle: Whether training samples come in another order each epoch.
        augmentations: Random changes of stored training inputs, one after the other; none if not given.
        num_workers: Number of processes that prepare training batches, and those of evaluation too if their samples
            are read from files; for tensors in memory 0 is fastest.
        on_device: Whether the data stay on the device that trains, so that no batch has to be copied there.
        seed: Seed of the split, of the order and of the augmentations.

    Raises:
        ValueError: If an argument is out of its range, or two do not go together.
    """

    reads_without_data: ClassVar[bool] = False
    """Whether `read` and `transform` need nothing that `load` or `adapt` finds out."""

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 1000,
        val_fraction: float = 0.1,
        test_fraction: float | None = None,
        val_on_test: bool = False,
        shuffle: bool = True,
        augmentations: Sequence[Augmentation] | None = None,
        num_workers: int = 0,
        on_device: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ):
            if number < least:
                raise ValueError(f"`{name}` must be at least {least}, got {number}")
        for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if fraction is not None and not 0 <= fraction < 1:
                raise ValueError(f"`{name}` must lie in [0, 1), got {fraction}")
        if val_on_test and val_fraction:
            raise ValueError(f"`val_on_test` needs `val_fraction` 0, got {val_fraction}")
        if on_device and num_workers:
            raise ValueError(f"`on_device` needs `num_workers` 0, as workers use the CPU, got {num_workers}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.val_on_test = val_on_test
        self.shuffle = shuffle
        self.augmentations = augmentations or ()
        self.num_workers = num_workers
        self.on_device = on_device
        self.seed = seed
        self.predict_files: list[str] | None = None
        """Files of the samples to predict, if each has its own."""
        self.skipped_files: list[str] = []
        """Files that were to be predicted and could not be read."""
        self._predict_on: tuple[Sequence[str], bool] | None = None
        self.train_set: TensorBatches | None = None
        self.val_set: TensorBatches | None = None
        self.test_set: TensorBatches | None = None

    def load(self) -> tuple[Split, Split | None] | tuple[Split, Split | None, Split | None]:
        """Return the verified inputs and targets: for training, for test and, where there are such, for validation.

        None in place of the test or validation set stands for a fraction of the first one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `load`")

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Learn from the training samples what `transform` needs, such as their mean.

        Args:
            inputs: Stored inputs `(N, ...)`, on the CPU.
            indices: Which of them are training samples; from the others nothing may be learned.
        """

    def transform(self, inputs: Tensor) -> Tensor:
        """Turn a batch of inputs as `load` gave them into what the network takes."""
        return inputs

    def read(self, paths: Sequence[str], invert: bool) -> tuple[Inputs, list[str] | None]:
        """Return inputs as `load` does, from files that somebody has at hand, and the file of each if it has its own.

        Args:
            paths: Files or folders.
            invert: Whether images are dark on light, where those of the data are light on dark.

        Raises:
            ValueError: If none can be read. Some that cannot be are to be named in `skipped_files`.
        """
        raise ValueError(f"{type(self).__name__} predicts the test set alone: it must define `read` to take files")

    def data_digests(self) -> dict[str, DataDigest]:
        """Return a digest for each file that `load` reads, by a name that stays the same where the file moves.

        A run keeps them, and is not resumed by mistake with other data.
        """
        return {}

    def predict_on(self, paths: Sequence[str], invert: bool = False) -> None:
        """Have `predict_dataloader` serve what `read` returns for these arguments, instead of the test set."""
        self._predict_on = paths, invert

    @property
    def needs_no_data(self) -> bool:
        """Whether samples to predict come from files, and nothing of the data is needed to prepare them."""
        return self._predict_on is not None and self.reads_without_data

    def setup(self, stage: str) -> None:
        """Load, verify and split the data, once for all stages.

        Raises:
            ValueError: If a set is empty, has values that are not finite, or not one target for each input; or if
                `test_fraction` is given though there is a test set.
        """
        if self.train_set is not None or self.needs_no_data:
            return
        train, test, *others = self.load()
        if test is not None and self.test_fraction is not None:
            raise ValueError(
                f"the data have a test set of their own: leave out `test_fraction`, got {self.test_fraction}"
            )
        val = others[0] if others else None
        for name, part in (("training", train), ("test", test), ("validation", val)):
            if part is not None:
                check_samples(name, *part)
        inputs = train[0]
        train, test, val = self._on_device(train), test and self._on_device(test), val and self._on_device(val)
        indices = torch.arange(len(inputs))
        self.test_set, indices = self._take(
            test, train, indices, 0.1 if self.test_fraction is None else self.test_fraction
        )
        if self.val_on_test:
            self.val_set = self.test_set
        else:
            self.val_set, indices = self._take(val, train, indices, self.val_fraction)
        self.adapt(inputs, indices)
        self.train_set = TensorBatches(*train, self.transform, indices, self.augmentations)

    def _on_device(self, part: Split) -> Split:
        """Return a part where `on_device` wants it."""
        if not (self.on_device and self.trainer):
            return part
        inputs, targets = part
        if not isinstance(inputs, Tensor):
            raise ValueError(f"`on_device` needs inputs in memory, got {inputs.nbytes} bytes that are read from files")
        device = self.trainer.strategy.root_device
        return inputs.to(device), targets.to(device)

    def _take(self, part: Split | None, train: Split, indices: Tensor, fraction: float) -> tuple[TensorBatches, Tensor]:
        """Return a part of its own, or else a fraction of the training samples, and the indices that are left."""
        if part is not None:
            return TensorBatches(*part, self.transform), indices
        left, taken = split_indices(len(indices), fraction, self.seed)
        return TensorBatches(*train, self.transform, indices[taken]), indices[left]

    def train_dataloader(self) -> Loader:
        """Serve the training set."""
        batches = _ready(self.train_set)
        overfitting = getattr(self.trainer, "overfit_batches", 0) > 0  # Lightning promises: not shuffled
        shuffle = self.shuffle and not overfitting
        order = self._order(batches, self.batch_size, shuffle=shuffle, seed=self.seed, training=True)
        return _loader(batches, order, 0 if overfitting else self.num_workers)

    def val_dataloader(self) -> Loader | list[Loader]:
        """Serve the validation set; an empty list, Lightning's word for no validation, if there is none."""
        val_set = _ready(self.val_set)
        return self._eval_loader(val_set) if len(val_set) else []

    def test_dataloader(self) -> Loader:
        """Serve the test set.

        Raises:
            ValueError: If there is none.
        """
        test_set = _ready(self.test_set)
        if not len(test_set):
            raise ValueError(f"there is no test set: give a `test_fraction` above 0, got {self.test_fraction}")
        return self._eval_loader(test_set)

    def predict_dataloader(self) -> Loader | DataLoader[Tensor]:
        """Serve what `predict_on` was told, inputs alone, or else the test set, in its order."""
        if self._predict_on is not None:
            inputs, self.predict_files = self.read(*self._predict_on)
            return DataLoader(InputBatches(inputs, self.transform, self.eval_batch_size), batch_size=None)
        return self.test_dataloader()

    def _eval_loader(self, batches: TensorBatches) -> Loader:
        num_workers = 0 if isinstance(batches.inputs, Tensor) else self.num_workers
        return _loader(batches, self._order(batches, self.eval_batch_size), num_workers)

    def _order(self, batches: TensorBatches, batch_size: int, **options: Any) -> BatchOrder:
        trainer = self.trainer
        num_replicas, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        return BatchOrder(len(batches), batch_size, num_replicas=num_replicas, rank=rank, **options)


def only_file(paths: Sequence[str], invert: bool) -> Path:
    """Return the file where there must be one, which is not of images.

    Raises:
        ValueError: If there are several, or `invert` is asked for.
    """
    if len(paths) != 1 or invert:
        what = "--invert is for images" if invert else f"got {len(paths)}"
        raise ValueError(f"these data take one file, which is no image: {what}")
    return Path(paths[0])


def check_samples(name: str, inputs: Inputs, targets: Tensor) -> None:
    """Check that samples can be learned from.

    Args:
        name: What to call them in a message.
        inputs: Inputs `(N, ...)`; those in files must be finite by their format.
        targets: Targets `(N, ...)`.

    Raises:
        ValueError: If there is none, not one target for each input, or a value that is not finite.
    """
    if not 0 < len(inputs) == len(targets):
        raise ValueError(f"{name} samples must be inputs with a target each, got {len(inputs)} and {len(targets)}")
    for kind, values in (("inputs", inputs), ("targets", targets)):
        if not isinstance(values, Tensor) or not values.is_floating_point():
            continue
        num_rows = max(1, CHUNK_BYTES * len(values) // max(1, values.nbytes))
        parts = torch.split(values, num_rows)
        if not all(_is_finite(part) for part in parts):
            finite = torch.cat([part[:, None].flatten(1).isfinite().all(dim=1) for part in parts])
            bad = finite.logical_not().nonzero().flatten()
            raise ValueError(f"{name} {kind} must be finite, but not so in {len(bad)} samples, first {bad[0].item()}")


def _is_finite(values: Tensor) -> bool:
    extremes = torch.stack(values.aminmax()) if values.numel() else values  # NaN is both; ten times faster than all
    return bool(extremes.isfinite().all())


def _loader(batches: TensorBatches, order: BatchOrder, num_workers: int) -> Loader:
    if num_workers == 0:
        return InMemoryLoader(batches, order)
    return DataLoader(batches, batch_size=None, sampler=order, num_workers=num_workers, persistent_workers=True)


def _ready(batches: TensorBatches | None) -> TensorBatches:
    if batches is None:
        raise ValueError("the data are not loaded yet: call `setup` first")
    return batches

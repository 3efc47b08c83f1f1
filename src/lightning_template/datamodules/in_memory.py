"""What datamodules share whose data fit in memory: split, order, batches."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_template.datamodules.augmentation import Augmentation
from lightning_template.datamodules.loading import BatchOrder, InMemoryLoader, TensorBatches, split_indices

Loader = InMemoryLoader | DataLoader[tuple[Tensor, Tensor]]
Split = tuple[Tensor, Tensor]


class InMemoryDataModule(LightningDataModule):
    """Splits tensors into training and validation sets and serves whole batches of them.

    A subclass defines `load`, and `prepare_data` if the data must be fetched first.

    Args:
        batch_size: Number of samples in a training batch, on each device.
        eval_batch_size: Number of samples in a batch of validation, test and prediction; no result depends on it.
        val_fraction: Fraction in [0, 1) of the training samples that are kept for validation, drawn by `seed`.
        val_on_test: Whether the test set serves for validation. Tutorials do so; their scores are optimistic.
        shuffle: Whether training samples come in another order each epoch.
        augmentations: Random changes of stored training inputs, one after the other; none if not given.
        num_workers: Number of processes that prepare training batches; for tensors in memory 0 is fastest.
        on_device: Whether the data stay on the device that trains, so that no batch has to be copied there.
        seed: Seed of the split, of the order and of the augmentations.

    Raises:
        ValueError: If an argument is out of its range, or two do not go together.
    """

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 1000,
        val_fraction: float = 0.1,
        val_on_test: bool = False,
        shuffle: bool = True,
        augmentations: Sequence[Augmentation] | None = None,
        num_workers: int = 0,
        on_device: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(batch_size, eval_batch_size) < 1:
            raise ValueError(f"batch sizes must be at least 1, got {batch_size} and {eval_batch_size}")
        if not 0 <= val_fraction < 1:
            raise ValueError(f"`val_fraction` must lie in [0, 1), got {val_fraction}")
        if val_on_test and val_fraction:
            raise ValueError(f"`val_on_test` needs `val_fraction` 0, got {val_fraction}")
        if num_workers < 0 or seed < 0:
            raise ValueError(f"`num_workers` and `seed` must be at least 0, got {num_workers} and {seed}")
        if on_device and num_workers:
            raise ValueError(f"`on_device` needs `num_workers` 0, as workers use the CPU, got {num_workers}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.val_fraction = val_fraction
        self.val_on_test = val_on_test
        self.shuffle = shuffle
        self.augmentations = augmentations or ()
        self.num_workers = num_workers
        self.on_device = on_device
        self.seed = seed
        self.train_set: TensorBatches | None = None
        self.val_set: TensorBatches | None = None
        self.test_set: TensorBatches | None = None

    def load(self) -> tuple[Split, Split]:
        """Return the verified inputs and targets, first for training, then for test."""
        raise NotImplementedError(f"{type(self).__name__} must define `load`")

    def transform(self, inputs: Tensor) -> Tensor:
        """Turn a batch of inputs as `load` gave them into what the network takes."""
        return inputs

    def setup(self, stage: str) -> None:
        """Load, verify and split the data, once for all stages.

        Raises:
            ValueError: If a set is empty, has values that are not finite, or not one target for each input.
        """
        if self.train_set is not None:
            return
        train, test = self.load()
        check_samples("training", *train)
        check_samples("test", *test)
        if self.on_device and self.trainer:
            device = self.trainer.strategy.root_device
            train, test = ((inputs.to(device), targets.to(device)) for inputs, targets in (train, test))
        train_indices, val_indices = split_indices(len(train[0]), self.val_fraction, self.seed)
        self.test_set = TensorBatches(*test, self.transform)
        self.train_set = TensorBatches(*train, self.transform, train_indices, self.augmentations)
        self.val_set = self.test_set if self.val_on_test else TensorBatches(*train, self.transform, val_indices)

    def train_dataloader(self) -> Loader:
        """Serve the training set."""
        batches = _ready(self.train_set)
        overfitting = getattr(self.trainer, "overfit_batches", 0) > 0  # Lightning promises: not shuffled
        shuffle = self.shuffle and not overfitting
        order = self._order(batches, self.batch_size, shuffle=shuffle, seed=self.seed, training=True)
        if self.num_workers == 0 or overfitting:
            return InMemoryLoader(batches, order)
        return DataLoader(
            batches, batch_size=None, sampler=order, num_workers=self.num_workers, persistent_workers=True
        )

    def val_dataloader(self) -> Loader | list[Loader]:
        """Serve the validation set; an empty list, Lightning's word for no validation, if there is none."""
        val_set = _ready(self.val_set)
        return self._eval_loader(val_set) if len(val_set) else []

    def test_dataloader(self) -> Loader:
        """Serve the test set."""
        return self._eval_loader(_ready(self.test_set))

    def predict_dataloader(self) -> Loader:
        """Serve the test set, in its order."""
        return self._eval_loader(_ready(self.test_set))

    def _eval_loader(self, batches: TensorBatches) -> Loader:
        return InMemoryLoader(batches, self._order(batches, self.eval_batch_size))

    def _order(self, batches: TensorBatches, batch_size: int, **options: Any) -> BatchOrder:
        trainer = self.trainer
        num_replicas, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        return BatchOrder(len(batches), batch_size, num_replicas=num_replicas, rank=rank, **options)


def check_samples(name: str, inputs: Tensor, targets: Tensor) -> None:
    """Check that samples can be learned from.

    Args:
        name: What to call them in a message.
        inputs: Inputs `(N, ...)`.
        targets: Targets `(N, ...)`.

    Raises:
        ValueError: If there is none, not one target for each input, or a value that is not finite.
    """
    if not 0 < len(inputs) == len(targets):
        raise ValueError(f"{name} samples must be inputs with a target each, got {len(inputs)} and {len(targets)}")
    for kind, values in (("inputs", inputs), ("targets", targets)):
        if values.is_floating_point() and not (finite := values.isfinite()).all():
            bad = finite.reshape(len(values), -1).all(dim=1).logical_not().nonzero().flatten()
            raise ValueError(f"{name} {kind} must be finite, but not so in {len(bad)} samples, first {bad[0].item()}")


def _ready(batches: TensorBatches | None) -> TensorBatches:
    if batches is None:
        raise ValueError("the data are not loaded yet: call `setup` first")
    return batches

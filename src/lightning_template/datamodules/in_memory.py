"""Base of data modules: a subclass says what the data are, and gets split, order and batches."""

from collections.abc import Sequence

from lightning.pytorch import LightningDataModule
from torch import Tensor

from lightning_template.engine.batches import (
    Inputs,
    Loader,
    Part,
    Parts,
    Samples,
    TensorBatches,
    after_setup,
    check_at_least,
    check_fractions,
    evaluation_loader,
    split,
    training_loader,
)
from lightning_template.engine.files import DataDigest, FileReader
from lightning_template.transforms import Augmentation


class InMemoryDataModule(LightningDataModule):
    """Splits samples into training, validation and test set and serves whole batches of them.

    A subclass defines `load`, and `prepare_data` if the data must be fetched first. It may define `adapt`, `transform`,
    `file_reader` and `data_digests`.

    Args:
        batch_size: Number of samples in a training batch, on each device.
        eval_batch_size: Number of samples in a batch of validation, test and prediction; no result depends on it.
        val_fraction: Fraction in [0, 1) of the training samples that is used for validation, drawn by `seed`, unless
            the data have a validation set.
        test_fraction: Fraction in [0, 1) of the samples that is used for the test, drawn by `seed` before those for
            validation; 0.1 if not given. Data that have a test set take none.
        val_on_test: Whether the test set serves for validation. Tutorials do so; their scores are optimistic.
        shuffle: Whether training samples come in another order each epoch.
        augmentations: Random changes of stored training inputs, one after the other; none if not given.
        num_workers: Number of processes that prepare training batches, and those of evaluation too if their samples
            are read from files; for tensors in memory 0 is fastest.
        on_device: Whether the data stay on the device that trains, so that no batch has to be copied there.
        seed: Seed of the split, of the order and of the augmentations.

    Raises:
        ValueError: If an argument is out of its range, or two do not go together.

    Example:
        >>> import torch
        >>> class Squares(InMemoryDataModule):
        ...     def load(self):
        ...         inputs = torch.arange(100.0).unsqueeze(1)
        ...         return (inputs, inputs**2), None
        >>> data = Squares(batch_size=16)
        >>> data.setup("fit")
        >>> len(data.train_set), len(data.val_set), len(data.test_set)
        (81, 9, 10)
    """

    train_set: TensorBatches | None = None
    """Training set, once the data are set up; its `indices` tell which samples are in it."""
    val_set: TensorBatches | None = None
    """Validation set, which may be empty."""
    test_set: TensorBatches | None = None
    """Test set, which may be empty."""

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
        check_at_least(1, batch_size=batch_size, eval_batch_size=eval_batch_size)
        check_at_least(0, num_workers=num_workers, seed=seed)
        check_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
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

    def load(self) -> tuple[Samples, Samples | None] | tuple[Samples, Samples | None, Samples | None]:
        """Return inputs and targets: for training, for the test and, if the data have such a set, for validation.

        Where the test or validation set is None, a fraction of the training set is used.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `load`")

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Learn from the training samples what `transform` needs, such as their mean.

        Args:
            inputs: Stored inputs `(N, ...)`, on the CPU.
            indices: Which of them are training samples; from the others nothing may be learned.
        """

    def transform(self, inputs: Tensor) -> Tensor:
        """Turn a batch of stored inputs into what the network takes."""
        return inputs

    def file_reader(self) -> FileReader | None:
        """Return the reader for `predict --input`; None if only the test set can be predicted."""
        return None

    def data_digests(self) -> dict[str, DataDigest]:
        """Return a digest for each file that `load` reads, by a name that does not change when the file moves.

        A run saves them, and is not resumed with other data by mistake.
        """
        return {}

    def setup(self, stage: str) -> None:
        """Load, check and split the data, once for all stages.

        Raises:
            ValueError: If a set is empty, has values that are not finite, or not one target for each input; or if
                `test_fraction` is given though the data have a test set.
        """
        if self.train_set is None:
            parts = split(
                *self.load(),
                test_fraction=self.test_fraction,
                val_fraction=self.val_fraction,
                val_on_test=self.val_on_test,
                seed=self.seed,
            )
            self.adapt(parts.train.inputs, parts.train.indices)
            self._serve(parts)
        if self.on_device and self.trainer:  # there may have been none when sizes were looked up
            sets = [after_setup(part) for part in (self.train_set, self.val_set, self.test_set)]
            parts = Parts(*(Part(part.inputs, part.targets, part.indices) for part in sets))
            self._serve(parts.to(self.trainer.strategy.root_device))

    def _serve(self, parts: Parts) -> None:
        train, val, test = parts
        self.val_set = TensorBatches(*val, self.transform)
        self.test_set = TensorBatches(*test, self.transform)
        self.train_set = TensorBatches(*train, self.transform, self.augmentations)

    def train_dataloader(self) -> Loader:
        """Serve the training set."""
        return training_loader(
            after_setup(self.train_set),
            self.batch_size,
            shuffle=self.shuffle,
            seed=self.seed,
            num_workers=self.num_workers,
            trainer=self.trainer,
        )

    def val_dataloader(self) -> Loader | list[Loader]:
        """Serve the validation set; if it is empty, return an empty list: Lightning then skips validation."""
        val_set = after_setup(self.val_set)
        return self._evaluation_loader(val_set) if len(val_set) else []

    def test_dataloader(self) -> Loader:
        """Serve the test set.

        Raises:
            ValueError: If it is empty.
        """
        test_set = after_setup(self.test_set)
        if not len(test_set):
            raise ValueError(f"there is no test set: give a `test_fraction` above 0, got {self.test_fraction}")
        return self._evaluation_loader(test_set)

    def predict_dataloader(self) -> Loader:
        """Serve the test set."""
        return self.test_dataloader()

    def _evaluation_loader(self, batches: TensorBatches) -> Loader:
        return evaluation_loader(batches, self.eval_batch_size, num_workers=self.num_workers, trainer=self.trainer)

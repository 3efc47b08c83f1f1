"""Subject of the checks: a task and its data, built again for each check, and run through a quiet Trainer."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lightning_template.engine.libraries.torch_private import tree_leaves
from lightning_template.engine.tasks import constructor_arguments
from lightning_template.testing.batches import ReplayLoader, copied, first_batches, forward_arguments, join, shorten
from lightning_template.testing.callbacks import LossRecorder, SameNumbers
from lightning_template.testing.construction import configured, construct_again, copy_of
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.task_loaders import TaskLoaders
from lightning_template.testing.trainers import logged, quiet_trainer

TaskSource = LightningModule | Callable[[], LightningModule]
DataSource = LightningDataModule | Callable[[], LightningDataModule]

MAX_BATCHES = 3
"""Number of batches of a set that are looked at."""
MAX_SAMPLES = 16
"""Number of samples of a batch that are looked at."""


class Subject:
    """A task and its data.

    Args:
        task: Makes the task; or a task, which is copied.
        datamodule: Makes its data; or a datamodule, which is copied; None if the task makes its loaders.
    """

    def __init__(self, task: TaskSource, datamodule: DataSource | None = None) -> None:
        self._task = copy.deepcopy(task) if isinstance(task, LightningModule) else task
        self._data = copy.deepcopy(datamodule) if isinstance(datamodule, LightningDataModule) else datamodule
        self._made: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the sources alone: another process reads the data itself."""
        return {"_task": self._task, "_data": self._data, "_made": {}}

    def once(self, make: Callable[["Subject"], Any]) -> Any:
        """Return what a function makes of the subject: several checks may look at it, and none may change it."""
        self._made[make] = self._made[make] if make in self._made else make(self)
        return self._made[make]

    def task(self, seed: int = 0) -> LightningModule:
        """Return a new task: a copy, which is made faster than a task, and shares no weights with others."""
        return copy_of(self._new_task, self._made, seed)

    def _new_task(self, seed: int) -> LightningModule:
        seed_all(seed)
        return configured(copy.deepcopy(self._task) if isinstance(self._task, LightningModule) else self._task())

    def constructed_task(self, seed: int = 0) -> LightningModule:
        """Return a task that was constructed again, not copied.

        Raises:
            CheckSkipped: If only an instance was given, and its constructor's arguments are not known or have weights.
        """
        if not isinstance(self._task, LightningModule):
            return self._new_task(seed)
        if any(isinstance(value, nn.Module) for value in constructor_arguments(self._task).values()):
            raise CheckSkipped(
                "a task was given, not a function that makes one, and its arguments have weights already"
            )
        seed_all(seed)
        return construct_again(self._task)

    def new_data(self, seed: int = 0) -> LightningDataModule:
        """Return a new datamodule that is ready to serve training and validation."""
        seed_all(seed)
        if self._data is None:
            data: LightningDataModule = TaskLoaders(self.task(seed))
        else:
            data = copy.deepcopy(self._data) if isinstance(self._data, LightningDataModule) else self._data()
        data.prepare_data()
        data.setup("fit")
        return data

    @cached_property
    def data(self) -> LightningDataModule:
        """A datamodule to look at; not to be changed."""
        return self.new_data()

    @cached_property
    def train_batches(self) -> list[Any]:
        """First batches of the training set, each cut to its first samples."""
        batches = first_batches(self.data.train_dataloader(), MAX_BATCHES)
        if not batches:
            raise CheckFailed("the training set has no batches, so nothing is learned: is it empty?")
        return [shorten(batch, MAX_SAMPLES) for batch in batches]

    @cached_property
    def val_sets(self) -> list[list[Any]]:
        """First batches of each validation set, each cut to its first samples."""
        return [
            [shorten(batch, MAX_SAMPLES) for batch in first_batches(loader, MAX_BATCHES)]
            for loader in self.loaders(self.data, "val")
        ]

    @property
    def val_batches(self) -> list[Any]:
        """First batches of the first validation set; empty if there is no such set."""
        return [*self.val_sets, []][0]

    @cached_property
    def train_samples(self) -> Any:
        """The recorded samples of the training set as one batch."""
        return join(self.train_batches)

    @cached_property
    def val_samples(self) -> Any:
        """The recorded samples of the validation set as one batch."""
        if not self.val_batches:
            raise CheckSkipped("there are no validation data")
        return join(self.val_batches)

    def loader(self, data: LightningDataModule, stage: str) -> Iterable[Any]:
        """Return the loader of a stage `val`, `test` or `predict`; empty if there is none. Several are skipped."""
        loaders = self.loaders(data, stage)
        if len(loaders) > 1:
            raise CheckSkipped(f"there are {len(loaders)} loaders for `{stage}`, and the check knows one")
        return loaders[0] if loaders else []

    def loaders(self, data: LightningDataModule, stage: str) -> list[Iterable[Any]]:
        """Return the loaders of a stage `val`, `test` or `predict`."""
        if not is_overridden(f"{stage}_dataloader", data, LightningDataModule):
            return []
        if stage in ("test", "predict") and self._made.get((id(data), stage)) is not data:
            self._made[id(data), stage] = data
            data.setup(stage)
        loaders = getattr(data, f"{stage}_dataloader")()
        loaders = [*loaders.values()] if isinstance(loaders, Mapping) else loaders
        return [*loaders] if isinstance(loaders, Sequence) else [loaders]

    def outputs(self, task: LightningModule, batch: Any, *, training: bool = False, seed: int = 0) -> list[Tensor]:
        """Return the tensors that `forward` returns for a batch.

        Raises:
            CheckSkipped: If the task defines no `forward`.
        """
        seed_all(seed)  # a task may draw random numbers as it takes a batch apart
        arguments = forward_arguments(task, self.transferred(task, copied(batch)))
        if not is_overridden("forward", task):
            raise CheckSkipped("the task defines no `forward`")
        task.train(training)
        with torch.no_grad():
            return [leaf for leaf in tree_leaves(task(*arguments)) if isinstance(leaf, Tensor)]

    def transferred(self, task: LightningModule, batch: Any) -> Any:
        """Return a batch as steps get it: after the hooks around its way to the device."""
        for hook in ("on_before_batch_transfer", "on_after_batch_transfer"):
            source = self.data if is_overridden(hook, self.data, LightningDataModule) else task
            batch = getattr(source, hook)(batch, 0)
        return batch

    def fit(
        self,
        task: LightningModule,
        *epochs: Sequence[Any],
        val: Sequence[Sequence[Any]] | None = None,
        callbacks: Sequence[Callback] = (),
        ckpt_path: str | None = None,
        **options: Any,
    ) -> Trainer:
        """Train a task.

        Args:
            task: Task to be trained.
            epochs: Batches of each epoch.
            val: Batches to be validated with after each epoch; the first recorded one if not given.
            callbacks: Callbacks of the Trainer.
            ckpt_path: Checkpoint to resume from.
            options: Further options of the Trainer.

        Returns:
            Its trainer.
        """
        val = ([self.val_batches[:1]] if self.validates(task) else []) if val is None else val
        trainer = quiet_trainer(max_epochs=len(epochs), callbacks=list(callbacks), **options)
        data = self.data_with(train=ReplayLoader(epochs), val=self.val_loaders(val) if val else [])
        seed_all(0)
        # The file is the check's own; `checkpoint_round_trip` tests weights-only loading.
        trainer.fit(task, datamodule=data, ckpt_path=ckpt_path, weights_only=False)
        return trainer

    def losses(self, task: LightningModule, batches: Sequence[Any], **options: Any) -> list[float]:
        """Return the losses of training steps, which all draw the same random numbers.

        Raises:
            CheckFailed: If there is none that can be differentiated.
        """
        losses, callbacks = LossRecorder(), options.pop("callbacks", ())
        self.fit(task, batches, callbacks=[SameNumbers(), losses, *callbacks], **options)
        if not losses.values:
            raise CheckFailed("`training_step` returned no loss, so nothing is learned: is there a `return`?")
        return losses.values

    def validates(self, task: LightningModule) -> bool:
        """Tell whether there is a validation."""
        return is_overridden("validation_step", task) and bool(self.val_batches)

    def measure(self, task: LightningModule, batches: Sequence[Any], seed: int = 0) -> dict[str, float]:
        """Validate a task with batches, and return the logged metrics.

        Raises:
            CheckSkipped: If there is no validation, or nothing is logged.
        """
        metrics = self.validate(task, batches, seed)
        if not metrics:
            raise CheckSkipped("validation logs nothing")
        return metrics

    def validate(self, task: LightningModule, batches: Sequence[Any], seed: int = 0) -> dict[str, float]:
        """Validate a task with batches, and return the logged metrics, of which there may be none.

        Raises:
            CheckSkipped: If there is no validation.
        """
        if not self.validates(task):
            raise CheckSkipped("there is no validation: no `validation_step`, or no validation data")
        trainer, loaders = quiet_trainer(), self.val_loaders([batches])
        seed_all(seed)
        trainer.validate(task, datamodule=self.data_with(val=loaders), verbose=False)
        return logged(trainer)

    def val_loaders(self, epochs: Sequence[Sequence[Any]]) -> Any:
        """Return a loader of batches, and beside it the first batches of further validation sets."""
        others = [ReplayLoader([batches[:1]]) for batches in self.val_sets[1:]]
        return [ReplayLoader(epochs), *others] if others else ReplayLoader(epochs)

    def data_with(self, **loaders: Any) -> LightningDataModule:
        """Return the data module with other loaders, by `train`, `val` or `predict`."""
        data = copy.copy(self.data)
        vars(data).update(prepare_data=_nothing, setup=_nothing, teardown=_nothing)  # it is ready
        for stage, loader in loaders.items():
            vars(data)[f"{stage}_dataloader"] = lambda loader=loader: loader
        return data


def _nothing(stage: str | None = None) -> None:
    """Replace a hook whose work is done."""

"""What is checked: a task and its data, made anew for each look, and run through a quiet Trainer."""

import copy
import inspect
import pkgutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lightning_template.engine.libraries.lightning_trainer import pop_instantiator
from lightning_template.engine.libraries.torch_private import tree_leaves
from lightning_template.testing.batches import Served, forward_arguments, join, num_samples, take
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.outcomes import CheckFailed, CheckSkipped

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
        datamodule: Makes its data; or a datamodule, which is copied.
    """

    def __init__(self, task: TaskSource, datamodule: DataSource) -> None:
        self._task = copy.deepcopy(task) if isinstance(task, LightningModule) else task
        self._data = copy.deepcopy(datamodule) if isinstance(datamodule, LightningDataModule) else datamodule

    def __getstate__(self) -> dict[str, Any]:
        """Keep what it was made of: another process reads the data itself."""
        return {"_task": self._task, "_data": self._data}

    def task(self, seed: int = 0) -> LightningModule:
        """Return a new task, or a copy of the task given."""
        seed_all(seed)
        return copy.deepcopy(self._task) if isinstance(self._task, LightningModule) else self._task()

    def constructed_task(self, seed: int = 0) -> LightningModule:
        """Return a task that was really constructed once more.

        Raises:
            CheckSkipped: If only an instance was given, and its constructor's arguments are not known or have weights.
        """
        if not isinstance(self._task, LightningModule):
            return self.task(seed)
        if any(isinstance(value, nn.Module) for value in self._task.hparams.values()):
            raise CheckSkipped(
                "a task was given, not a function that makes one, and its arguments have weights already"
            )
        seed_all(seed)
        return construct_again(self._task)

    def new_data(self, seed: int = 0) -> LightningDataModule:
        """Return a new datamodule that is ready to serve training and validation."""
        seed_all(seed)
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
        return [_shortened(batch) for batch in batches]

    @cached_property
    def val_batches(self) -> list[Any]:
        """First batches of the validation set, each cut to its first samples; empty if there is no such set."""
        return [_shortened(batch) for batch in first_batches(self.loader(self.data, "val"), MAX_BATCHES)]

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
        """Return the loader of a stage `val`, `test` or `predict`; empty if there is none.

        Raises:
            CheckSkipped: If there are several.
        """
        if not is_overridden(f"{stage}_dataloader", data, LightningDataModule):
            return []
        if stage in ("test", "predict"):
            data.setup(stage)
        loaders = getattr(data, f"{stage}_dataloader")()
        if not isinstance(loaders, Sequence):
            return loaders  # type: ignore[no-any-return]
        if len(loaders) > 1:
            raise CheckSkipped(f"there are {len(loaders)} loaders for `{stage}`, and the checks know one")
        return loaders[0] if loaders else []

    def outputs(self, task: LightningModule, batch: Any, *, training: bool = False, seed: int = 0) -> list[Tensor]:
        """Return the tensors that `forward` returns for a batch.

        Raises:
            CheckSkipped: If the task defines no `forward`.
        """
        arguments = forward_arguments(task, self.transferred(task, batch))
        if not is_overridden("forward", task):
            raise CheckSkipped("the task defines no `forward`")
        task.train(training)
        seed_all(seed)
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
            ckpt_path: Checkpoint to go on from.
            options: Further options of the Trainer.

        Returns:
            Its trainer.
        """
        if val is None:
            val = [self.val_batches[:1]] if self.validates(task) else []
        trainer = quiet_trainer(max_epochs=len(epochs), callbacks=list(callbacks), **options)
        data = self.serving(train=Served(epochs), val=Served(val) if val else [])
        seed_all(0)
        # The file is the check's own: whether weights-only loading takes it is a check's question, not each one's.
        trainer.fit(task, datamodule=data, ckpt_path=ckpt_path, weights_only=False)
        return trainer

    def losses(self, task: LightningModule, batches: Sequence[Any], **options: Any) -> list[float]:
        """Return the losses of training steps, of which each draws the same random numbers.

        Raises:
            CheckFailed: If there is none that can be differentiated.
        """
        losses = Losses()
        self.fit(task, batches, callbacks=[SameNumbers(), losses], **options)
        if not losses.values:
            raise CheckFailed("`training_step` returned no loss, so nothing is learned: is there a `return`?")
        return losses.values

    def validates(self, task: LightningModule) -> bool:
        """Tell whether there is a validation."""
        return is_overridden("validation_step", task) and bool(self.val_batches)

    def measure(self, task: LightningModule, batches: Sequence[Any]) -> dict[str, float]:
        """Return what is logged when a task is validated with batches.

        Raises:
            CheckSkipped: If there is no validation, or nothing is logged.
        """
        metrics = self.validate(task, batches)
        if not metrics:
            raise CheckSkipped("validation logs nothing")
        return metrics

    def validate(self, task: LightningModule, batches: Sequence[Any]) -> dict[str, float]:
        """Validate a task with batches, and return what is logged, which may be nothing.

        Raises:
            CheckSkipped: If there is no validation.
        """
        if not self.validates(task):
            raise CheckSkipped("there is no validation: no `validation_step`, or no validation data")
        trainer = quiet_trainer()
        trainer.validate(task, datamodule=self.serving(val=Served([batches])), verbose=False)
        return logged(trainer)

    def serving(self, **loaders: Any) -> LightningDataModule:
        """Return the data with other loaders: of `train`, `val` or `predict`."""
        data = copy.copy(self.data)
        vars(data).update(prepare_data=_nothing, setup=_nothing, teardown=_nothing)  # it is ready
        for stage, loader in loaders.items():
            vars(data)[f"{stage}_dataloader"] = lambda loader=loader: loader
        return data


class Losses(Callback):
    """Keeps the losses of training steps."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep a loss.

        Raises:
            CheckFailed: If it cannot be differentiated.
        """
        if loss.numel() != 1:
            raise CheckFailed(
                f"the loss has shape {tuple(loss.shape)} and must be one number, which is what gradients are taken of: "
                'average it over the samples, often a forgotten `reduction="mean"`'
            )
        if not loss.requires_grad:
            raise CheckFailed(
                "the loss does not require a gradient, so nothing is learned: "
                "look for `.detach()`, `.item()`, `torch.no_grad()` or `argmax` on its way"
            )
        self.values.append(loss.item())


class SameNumbers(Callback):
    """Has each training step, and what begins an epoch, draw the same random numbers."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed."""
        seed_all(0)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed."""
        seed_all(0)


class SameWeights(Callback):
    """Has steps change nothing, so that epochs differ by their samples alone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep weights and buffers; have optimizers look at a batch once, and do nothing."""
        self.before = {name: tensor.detach().clone() for name, tensor in _tensors(pl_module)}
        for optimizer in trainer.optimizers:
            vars(optimizer)["step"] = _look_once

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Draw the same random numbers too."""
        seed_all(0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Restore weights and buffers, which not only optimizers change."""
        with torch.no_grad():
            for name, tensor in _tensors(pl_module):
                tensor.copy_(self.before[name])


def quiet_trainer(**options: Any) -> Trainer:
    """Return a Trainer on the CPU that prints and writes nothing."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": tempfile.gettempdir(),
        "plugins": LightningEnvironment(),  # a cluster's would start other processes
        "use_distributed_sampler": False,
    }
    return Trainer(**quiet | options)


def logged(trainer: Trainer) -> dict[str, float]:
    """Return the metrics of a trainer."""
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def first_batches(loaders: Any, number: int) -> list[Any]:
    """Return the first batches of a loader, or of what Lightning combines several to."""
    if isinstance(loaders, Sequence | dict) and loaders:
        return [batch for batch, _, _ in islice(CombinedLoader(loaders, "max_size_cycle"), number)]
    return list(islice(loaders, number))


def construct_again(task: LightningModule) -> LightningModule:
    """Return a task constructed with the saved arguments of another.

    Raises:
        CheckSkipped: If it saved none.
    """
    if not task.hparams:
        raise CheckSkipped("the task saves no hyper-parameters from which it can be made again")
    hparams = copy.deepcopy(dict(task.hparams))
    instantiator = pop_instantiator(hparams)
    if instantiator is None:
        parameters = inspect.signature(type(task).__init__).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            hparams = {name: value for name, value in hparams.items() if name in parameters}  # as Lightning does
        return type(task)(**hparams)
    made: LightningModule = pkgutil.resolve_name(instantiator)(type(task), hparams)
    return made


def _shortened(batch: Any) -> Any:
    try:
        size = num_samples(batch)
    except CheckSkipped:
        return batch
    return take(batch, range(min(size, MAX_SAMPLES)))


def _nothing(stage: str | None = None) -> None:
    """Stand in for a hook whose work is done."""


def _tensors(task: LightningModule) -> list[tuple[str, Tensor]]:
    return [*task.named_parameters(), *task.named_buffers()]


def _look_once(closure: Callable[[], Any] | None = None) -> Any:
    """Stand in for an optimizer's step, which may call its closure several times."""
    return closure() if closure is not None else None

"""The callback that tries a batch before a run starts, and the cases in which it does nothing."""

from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.batches import InputBatches
from lightning_template.engine.rehearsal.monitors import check_monitors
from lightning_template.engine.rehearsal.optimizers import check_optimizers
from lightning_template.engine.rehearsal.samples import Sampler, same_random_numbers
from lightning_template.engine.rehearsal.trial import check_unpack, rehearse
from lightning_template.tasks import SupervisedTask

BETWEEN = (
    "on_fit_start",
    "on_sanity_check_start",
    "on_sanity_check_end",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "on_validation_start",
    "on_validation_epoch_start",
    "on_validation_batch_start",
    "on_test_start",
    "on_test_epoch_start",
    "on_test_batch_start",
)
"""Hooks between the rehearsal and a step, in which a user's code may prepare what the step needs."""
STEPS = ("training_step", "validation_step", "test_step")


class Rehearsal(Callback):
    """Tries a run before it has a directory: a mistake then leaves nothing behind.

    It has to be the first callback. Of modules other than `SupervisedTask` it tries only optimizers and loaders.
    It refuses only runs that would fail at their first batch; where it cannot be sure, it does nothing.

    Args:
        contradictions: Tells which sizes of the task contradict the data, and takes whether a batch failed.
    """

    def __init__(self, contradictions: Callable[[LightningDataModule, bool], str] | None = None) -> None:
        self.contradictions = contradictions

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try optimizers, loaders and a batch of training and of validation.

        Raises:
            ValueError: If they fail.
        """
        check_optimizers(trainer, pl_module)
        # A resumed run has a directory, and its loaders may depend on the epoch, which is not restored yet.
        if trainer.ckpt_path is not None or self._is_prepared_later(trainer):
            return
        trainer.fit_loop.setup_data()  # as Lightning does next; it checks options that depend on the length
        with same_random_numbers(trainer.strategy.root_device):
            self._try_stages(trainer, pl_module)

    def _try_stages(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
        logged = self._try(trainer, "train", trainer.train_dataloader)
        if isinstance(data, InMemoryDataModule):  # others may draw random numbers when they create a loader
            loader = data.val_dataloader()
            if loader == [] or not trainer.limit_val_batches:
                check_monitors(trainer, pl_module, logged, validates=False)
                return
            logged |= self._try(trainer, "val", loader)
        check_monitors(trainer, pl_module, logged, validates=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try a batch of a validation that is not part of training."""
        if trainer.state.fn == TrainerFn.VALIDATING and not self._is_prepared_later(trainer):
            with same_random_numbers(trainer.strategy.root_device):
                self._try(trainer, "val", trainer.val_dataloaders)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try a batch of the test."""
        if not self._is_prepared_later(trainer):
            with same_random_numbers(trainer.strategy.root_device):
                self._try(trainer, "test", trainer.test_dataloaders)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try to take a batch of the prediction apart."""
        loaders = trainer.predict_dataloaders
        if (
            isinstance(pl_module, SupervisedTask)
            and isinstance(loaders, DataLoader)
            and not isinstance(loaders.dataset, InputBatches)  # of tensors, which are inputs
            and not self._is_prepared_later(trainer)
            and not _overrides(pl_module, SupervisedTask, ["predict_step"])
        ):
            with same_random_numbers(trainer.strategy.root_device):
                check_unpack(pl_module, Sampler(loaders), "; return None as targets of a batch that has none")

    def _try(self, trainer: Trainer, stage: str, loader: Any) -> set[str]:
        """Try a batch of a stage, and return the names of the quantities that it logged."""
        task = trainer.lightning_module
        if not isinstance(task, SupervisedTask) or type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
            return set()
        if _overrides(task, SupervisedTask, STEPS):
            return set()
        try:
            logged = rehearse(trainer, task, stage, Sampler(loader))
        except ValueError as error:
            self._check_sizes(trainer, error)
            raise
        if stage == "train":
            self._check_sizes(trainer)
        return logged

    def _check_sizes(self, trainer: Trainer, error: ValueError | None = None) -> None:
        """Raise a `ValueError` for sizes that contradict the data, instead of the error of a batch if it failed."""
        if self.contradictions is None:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
        if data is None:
            return
        try:
            found = self.contradictions(data, error is not None)
        except Exception:  # of a user's data, which may be set up for another stage
            return
        if found:
            raise ValueError(found) from error

    def _is_prepared_later(self, trainer: Trainer) -> bool:
        """Tell whether a user's hooks may prepare what a step needs."""
        base = SupervisedTask if isinstance(trainer.lightning_module, SupervisedTask) else LightningModule
        others = [
            callback
            for callback in trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
            if not type(callback).__module__.startswith(("lightning.", "lightning_template."))
        ]
        return (
            _overrides(trainer.lightning_module, base, BETWEEN)
            or _overrides(trainer.datamodule, LightningDataModule, BETWEEN)  # type: ignore[attr-defined]
            or any(_overrides(callback, Callback, BETWEEN) for callback in others)
        )


def _overrides(instance: object, parent: type, hooks: Iterable[str]) -> bool:
    return instance is not None and any(
        hasattr(parent, hook) and is_overridden(hook, instance, parent) for hook in hooks
    )

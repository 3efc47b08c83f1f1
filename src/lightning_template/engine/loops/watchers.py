"""Callbacks and hooks that decide how a training step is made: each by itself, or without calls of hooks."""

import inspect
from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.optim import Optimizer

AROUND_A_STEP = ("on_train_batch_start", "on_train_batch_end")
WITHIN_A_STEP = (
    "on_before_zero_grad",
    "optimizer_zero_grad",
    "on_before_backward",
    "backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "optimizer_step",
    "configure_gradient_clipping",
)
BEFORE_A_STEP = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")

EVERY_EXECUTION = (DeviceStatsMonitor, LearningRateMonitor, ProgressBar, Timer)
"""Lightning's callbacks that look at every step but act only when something is logged or some time is over."""


def watchers(trainer: Any) -> Iterable[object]:
    """Yield who has to see each training step."""
    for callback in trainer.callbacks:
        sees_executions = (
            getattr(callback, "every_execution", False)
            or isinstance(callback, EVERY_EXECUTION)
            or (isinstance(callback, ModelCheckpoint) and bool(callback.every_n_epochs))
        )
        if not sees_executions and _overrides(callback, Callback, AROUND_A_STEP):
            yield callback
    if _overrides(trainer.lightning_module, LightningModule, AROUND_A_STEP):
        yield trainer.lightning_module
    if not isinstance(trainer.profiler, PassThroughProfiler):
        yield trainer.profiler


def step_intervals(trainer: Any) -> Iterable[int]:
    """Yield the numbers of optimizer steps at whose multiples a callback wants an execution to end."""
    for callback in trainer.callbacks:
        interval = getattr(callback, "every_n_steps", None)
        if isinstance(interval, int) and interval > 0:
            yield interval


def steps_directly(trainer: Any) -> bool:
    """Tell whether a step is no more than batch, loss, gradients and optimizer."""
    precision, task = trainer.precision_plugin, trainer.lightning_module
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(precision) in (Precision, MixedPrecision, HalfPrecision, DoublePrecision)
        and getattr(precision, "scaler", None) is None
        and len(trainer.optimizers) == 1
        and not _needs_closure(trainer.optimizers[0])
        and getattr(task.training_step, "returns_loss", False)  # that of the template's base class
        and not _overrides(task, LightningModule, (*BEFORE_A_STEP, *WITHIN_A_STEP))
        and not (trainer.datamodule and _overrides(trainer.datamodule, LightningDataModule, BEFORE_A_STEP))
        and not any(_overrides(callback, Callback, WITHIN_A_STEP) for callback in trainer.callbacks)
    )


def _needs_closure(optimizer: Optimizer) -> bool:
    return inspect.signature(optimizer.step).parameters["closure"].default is inspect.Parameter.empty


def _overrides(instance: object, parent: type, hooks: Iterable[str]) -> bool:
    return any(hasattr(parent, hook) and is_overridden(hook, instance, parent) for hook in hooks)

"""Checks that the quantities which callbacks and schedules monitor are logged."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import DeviceStatsMonitor, EarlyStopping, LearningRateMonitor, ModelCheckpoint

from lightning_template.callbacks import BestAndLast
from lightning_template.engine.callbacks.watched import AUTO
from lightning_template.engine.libraries.lightning_trainer import needs_no_validation
from lightning_template.tasks import SupervisedTask


def check_monitors(trainer: Trainer, task: LightningModule, logged: set[str], validates: bool) -> None:
    """Check that the quantities which callbacks and schedules monitor are logged, where these are known for certain.

    Args:
        trainer: Trainer of the task.
        task: Task; modules other than `SupervisedTask` pass.
        logged: Names of the logged quantities.
        validates: Whether there is a validation.

    Raises:
        ValueError: If a monitored quantity is not logged.
    """
    if not isinstance(task, SupervisedTask) or not logged or not _knows_all(trainer, task):
        return
    if validates:
        logged = logged | {"val/loss", *task.val_measures.named_metrics()}
    for name, monitor in _watched(trainer, validates):
        if monitor not in (None, AUTO) and monitor not in logged:
            raise ValueError(
                f"`monitor` of {name} must be one of the logged quantities ({', '.join(sorted(logged))}), got {monitor}"
            )


def _knows_all(trainer: Trainer, task: SupervisedTask) -> bool:
    """Tell whether nobody but the task's own steps can log something."""
    own = [cls for cls in type(task).__mro__ if issubclass(cls, SupervisedTask) and cls is not SupervisedTask]
    hooks = {name for cls in own for name in vars(cls) if name.startswith("on_") or name.endswith("_step")}
    return not hooks and all(
        type(callback).__module__.startswith(("lightning.", "lightning_template."))
        and not isinstance(callback, LearningRateMonitor | DeviceStatsMonitor)
        for callback in trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
    )


def _watched(trainer: Any, validates: bool) -> list[tuple[str, str | None]]:
    """Return names of callbacks and schedules that fail without a quantity, each with the quantity."""
    found = []
    for callback in trainer.callbacks:
        is_needed = (
            (isinstance(callback, BestAndLast) and validates)
            or isinstance(callback, ModelCheckpoint)
            or (isinstance(callback, EarlyStopping) and callback.strict)
        )
        if is_needed and (validates or needs_no_validation(callback)):
            found.append((type(callback).__name__, callback.monitor))
    return found + [
        (type(config.scheduler).__name__, config.monitor)
        for config in trainer.lr_scheduler_configs
        if config.reduce_on_plateau and config.strict
    ]

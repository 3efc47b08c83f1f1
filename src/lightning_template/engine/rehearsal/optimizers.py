"""Checks of optimizers and schedules before a run starts."""

import copy
import math
import warnings
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_template.engine.process.errors import one_line
from lightning_template.tasks import SupervisedTask


def check_optimizers(trainer: Trainer, task: LightningModule) -> None:
    """Check the learning rates of a run, and that the schedules of a `SupervisedTask` can make a step.

    Raises:
        ValueError: If a rate is negative or not finite, or the schedule fails.
    """
    for optimizer in trainer.optimizers:
        _check_rates([optimizer.defaults], "optimizer")
        _check_rates(optimizer.param_groups, "lr_scheduler" if trainer.lr_scheduler_configs else "optimizer")
    if isinstance(task, SupervisedTask):
        for config in trainer.lr_scheduler_configs:
            _check_schedule(config.scheduler)


def _check_rates(groups: list[dict[str, Any]], option: str) -> None:
    for group in groups:
        rate = group.get("lr")
        if isinstance(rate, int | float) and not 0 <= rate < math.inf:
            raise ValueError(f"`model.{option}` gives a learning rate of {rate}: it must be finite and at least 0")
        for name, value in group.items():
            if isinstance(value, float) and math.isnan(value):
                raise ValueError(f"`model.optimizer.{name}` must be a number, got {value}")


def _check_schedule(schedule: Any) -> None:
    """Check that a schedule can make a step: a copy of it does, with an optimizer that shares the weights."""
    weights = [weight for group in schedule.optimizer.param_groups for weight in group["params"]]
    try:
        trial = copy.deepcopy(schedule, {id(weight): weight for weight in weights})
    except Exception:  # of a user's class that cannot be copied
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a schedule that steps before its optimizer
        try:
            trial.step(0.0) if isinstance(trial, ReduceLROnPlateau) else trial.step()
        except (ArithmeticError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"`model.lr_scheduler` fails in its first step: {one_line(error)}") from error
    _check_rates(trial.optimizer.param_groups, "lr_scheduler")

"""Trial of a batch on a copy of a task: forward, loss and metrics, without changing the task."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer
from torch import Tensor

from lightning_template.engine.libraries.torch_private import has_forward_hooks
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.rehearsal.samples import Sampler
from lightning_template.tasks import SupervisedTask

NUM_SAMPLES = 32
"""Number of samples to try first; only if a whole batch fails too, the run is refused."""

CERTAIN_ERRORS: tuple[type[Exception], ...] = (ValueError, RuntimeError)
"""Errors that the run itself would raise too; others may come from parts that Lightning prepares later, as loggers."""
CERTAIN_IN_OWN_STEPS: tuple[type[Exception], ...] = (*CERTAIN_ERRORS, TypeError, IndexError)
"""The same for steps that call only networks and losses, which know nothing of Lightning."""
PARTS = ("forward", "check_shapes", "compute_loss", "predict")
"""Methods of a task that make up its steps."""


def rehearse(trainer: Trainer, task: SupervisedTask, stage: str, sampler: Sampler) -> set[str]:
    """Run a batch through a copy of a task; only the state of random numbers changes.

    Args:
        trainer: Trainer of the task.
        task: Task, whose steps are those of `SupervisedTask`.
        stage: `train`, `val` or `test`.
        sampler: Where the batch comes from.

    Returns:
        Names of the logged quantities; empty if no batch could be tried.

    Raises:
        ValueError: If the batch does not fit the task.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the step itself warns
        for size in sorted({min(NUM_SAMPLES, sampler.batch_size), sampler.batch_size}):
            try:
                if size == 0:
                    return set()
                trial = _copied(trainer, task, training=stage == "train")
                inputs, targets = batch = move_data_to_device(sampler.batch(size), trainer.strategy.root_device)
                if trial is None or not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
                    return set()
            except Exception:  # of a user's data set or task: the run itself will raise it
                return set()
            try:
                return _run(trainer, trial, stage, *trainer.precision_plugin.convert_input(batch))
            except torch.OutOfMemoryError:
                return set()
            except Exception as error:
                if not isinstance(error, _certain_errors(task)):
                    return set()
                if size == sampler.batch_size:
                    raise error if isinstance(error, ValueError) else ValueError(one_line(error)) from error
    return set()


def _certain_errors(task: SupervisedTask) -> tuple[type[Exception], ...]:
    is_ours = all(getattr(type(task), part).__module__.startswith("lightning_template.") for part in PARTS)
    return CERTAIN_IN_OWN_STEPS if is_ours else CERTAIN_ERRORS


def _copied(trainer: Trainer, task: SupervisedTask, training: bool) -> SupervisedTask | None:
    """Return a copy of a task that shares its weights and factories alone; None where hooks would be copied too."""
    if any(map(has_forward_hooks, task.modules())):
        return None
    factories = (task.optimizer, task.lr_scheduler)  # from YAML they hold their parser
    trial = copy.deepcopy(task, {id(part): part for part in (*task.parameters(), *factories)})
    trial.trainer = trainer
    return trial.train(training)


def _run(trainer: Trainer, trial: SupervisedTask, stage: str, inputs: Tensor, targets: Tensor) -> set[str]:
    logged: set[str] = set()
    vars(trial)["log"] = lambda name, *_, **__: logged.add(name)
    vars(trial)["log_dict"] = lambda values, *_, **__: logged.update(values)
    measures = {"train": trial.train_measures, "val": trial.val_measures, "test": trial.test_measures}[stage]
    precision = trainer.precision_plugin
    context = precision.train_step_context if stage == "train" else precision.val_step_context
    with torch.compiler.set_stance("force_eager"), torch.set_grad_enabled(stage == "train"), context():
        outputs = _call(trial, "network", f"inputs {_describe(inputs)}", lambda: trial(inputs))
        trial.check_shapes(outputs, targets)
        loss = _call(
            trial,
            "loss",
            f"outputs {_describe(outputs)} and targets {_describe(targets)}",
            lambda: trial.compute_loss(outputs, targets),
        )
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(f"`model.loss` must return one number for a batch, got {_describe(loss)}")
        measures.update(loss, outputs, targets)
        measures.flush()
    return logged | {f"{stage}/loss", *map(str, measures.metrics.keys()), *(["train/loss_step"] * (stage == "train"))}


def _call(trial: SupervisedTask, option: str, what: str, function: Callable[[], Any]) -> Any:
    """Call a function; name the option and its arguments in an error that is not the task's own."""
    try:
        return function()
    except torch.OutOfMemoryError:  # says nothing about the arguments
        raise
    except _certain_errors(trial) as error:
        if option == "loss" and isinstance(error, ValueError):
            raise
        raise ValueError(f"`model.{option}` does not take {what}: {one_line(error)}") from error


def _describe(value: Any) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__

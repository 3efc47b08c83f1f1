"""Trial of a batch on a copy of a task: forward, loss and metrics, without changing the task."""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer
from torch import Tensor

from lightning_template.engine.libraries.torch_private import has_forward_hooks
from lightning_template.engine.nests import map_tensors
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.rehearsal.samples import Sampler
from lightning_template.tasks import SupervisedTask

NUM_SAMPLES = 32
"""Number of samples to try first; only if a whole batch fails too, the run is refused."""

CERTAIN_ERRORS: tuple[type[Exception], ...] = (ValueError, RuntimeError, KeyError)
"""Errors that the run itself would raise too; others may come from parts that Lightning prepares later, as loggers."""
CERTAIN_IN_OWN_STEPS: tuple[type[Exception], ...] = (*CERTAIN_ERRORS, TypeError, IndexError)
"""The same for steps that call only networks and losses, which know nothing of Lightning."""
MAX_LISTED = 6
"""Largest number of parts of a container that a message lists."""
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
        if sampler.batch_size == 0 and type(task).unpack is SupervisedTask.unpack:
            check_unpack(task, sampler)
        for size in sorted({min(NUM_SAMPLES, sampler.batch_size), sampler.batch_size}):
            try:
                if size == 0:
                    return set()
                trial = _copied(trainer, task, training=stage == "train")
                batch = _own(sampler.batch(size))
                if trial is None:
                    return set()
            except Exception:  # of a user's data set or task: the run itself will raise it
                return set()
            try:
                return _run(trainer, trial, stage, _moved(trainer, batch))
            except torch.OutOfMemoryError:
                return set()
            except Exception as error:
                if not isinstance(error, _certain_errors(task)):
                    return set()
                if size == sampler.batch_size:
                    raise error if isinstance(error, ValueError) else ValueError(one_line(error)) from error
    return set()


def check_unpack(task: SupervisedTask, sampler: Sampler, hint: str = "") -> None:
    """Check that a task takes a batch of a few samples apart, which is known where nothing else is.

    Args:
        task: Task.
        sampler: Where the batch comes from.
        hint: What to add to a message.

    Raises:
        ValueError: If it does not.
    """
    try:
        batch = _own(sampler.few())
    except Exception:  # of a user's data set: the run itself will raise it
        return
    if batch is None or isinstance(batch, Tensor):
        return
    try:
        _call(task, "unpack", {"a batch": batch}, lambda: _pair(task, batch))
    except ValueError as error:
        raise ValueError(f"{error}{hint}") from error
    except Exception:
        return


def _own(batch: Any) -> Any:
    """Return a batch that may be changed: a user's `collate_fn` may return what the data set holds."""
    try:
        return copy.deepcopy(batch)
    except Exception:  # of a user's class
        return map_tensors(Tensor.clone, batch)


def _moved(trainer: Trainer, batch: Any) -> Any:
    """Return a batch as a step gets it.

    Raises:
        ValueError: If it holds a frozen dataclass, which Lightning changes in place.
    """
    try:
        return move_data_to_device(trainer.precision_plugin.convert_input(batch), trainer.strategy.root_device)
    except ValueError as error:
        if "frozen dataclass" not in str(error):
            raise
        raise ValueError(
            f"Lightning cannot change a batch {describe(batch)}, as it holds a frozen dataclass: give that a method "
            "`to(self, device)` that returns a copy, or do not freeze it where the precision is not 32 bits or mixed"
        ) from error


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


def _run(trainer: Trainer, trial: SupervisedTask, stage: str, batch: Any) -> set[str]:
    logged: set[str] = set()
    vars(trial)["log"] = lambda name, *_, **__: logged.add(name)
    vars(trial)["log_dict"] = lambda values, *_, **__: logged.update(values)
    measures = {"train": trial.train_measures, "val": trial.val_measures, "test": trial.test_measures}[stage]
    precision = trainer.precision_plugin
    context = precision.train_step_context if stage == "train" else precision.val_step_context
    with torch.compiler.set_stance("force_eager"), torch.set_grad_enabled(stage == "train"), context():
        inputs, targets = _call(trial, "unpack", {"a batch": batch}, lambda: _pair(trial, batch))
        outputs = _call(trial, "network", {"inputs": inputs}, lambda: trial(inputs))
        results = {"outputs": outputs, "targets": targets}
        _call(trial, "check_shapes", results, lambda: trial.check_shapes(outputs, targets))
        loss = _call(trial, "loss", results, lambda: trial.compute_loss(outputs, targets))
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(f"`model.loss` must return one number for a batch, got {describe(loss)}")
        _call(trial, "configure_metrics", results, lambda: _measure(measures, loss, outputs, targets))
    return logged | {f"{stage}/loss", *measures.named_metrics(), *(["train/loss_step"] * (stage == "train"))}


def _pair(trial: SupervisedTask, batch: Any) -> tuple[Any, Any]:
    pair: Any = trial.unpack(batch)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"it must return inputs and targets, got {describe(pair)}")
    return pair[0], pair[1]


def _measure(measures: Any, loss: Tensor, outputs: Any, targets: Any) -> None:
    measures.update(loss, outputs, targets)
    measures.flush()


def _call(trial: SupervisedTask, part: str, values: dict[str, Any], function: Callable[[], Any]) -> Any:
    """Call a function; name the part of the task and the values in an error that is not the task's own."""
    try:
        return function()
    except torch.OutOfMemoryError:  # says nothing about the arguments
        raise
    except Exception as error:
        is_about = _is_about(error, values.values())
        is_own = type(trial).unpack is SupervisedTask.unpack if part == "unpack" else isinstance(error, ValueError)
        is_told = not is_own if part in ("unpack", "loss") else part == "network"
        certain = CERTAIN_IN_OWN_STEPS if part == "unpack" else _certain_errors(trial)  # it knows the batch alone
        if not (is_about or (is_told and isinstance(error, certain))):
            raise
        where = f"model.{part}" if part in ("network", "loss") else f"{type(trial).__name__}.{part}"
        what = " and ".join(f"{name} {describe(value)}" for name, value in values.items())
        reason = f"no key {error}" if isinstance(error, KeyError) else one_line(error)
        if is_about and "outputs" in values and not isinstance(values["outputs"], Tensor):
            reason += "; `forward(self, inputs)` may return a part of what the network returns"
        raise ValueError(f"`{where}` does not take {what}: {reason}") from error


def _is_about(error: Exception, values: Iterable[Any]) -> bool:
    """Tell whether an error says that one of some values, or a container, has no such attribute or argument."""
    kinds = {dict, list, tuple, Tensor, *map(type, values)} - {type(None)}
    return (isinstance(error, AttributeError) and type(error.obj) in kinds) or (
        isinstance(error, TypeError) and "argument" in str(error)
    )


def describe(value: Any) -> str:
    """Return what a person recognises a nest of tensors by.

    Example:
        >>> describe({"ids": torch.zeros(8, 3), "lengths": [3, 2]})
        '{ids: torch.float32 of shape (8, 3), lengths: [int, int]}'
    """
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        parts = [f"{key}: {describe(part)}" for key, part in value.items()]
        return "{" + _list(parts) + "}"
    if type(value) in (list, tuple):
        return ("[{}]" if isinstance(value, list) else "({})").format(_list([*map(describe, value)]))
    return type(value).__name__


def _list(parts: list[str]) -> str:
    return ", ".join(parts if len(parts) <= MAX_LISTED else [*parts[:MAX_LISTED], "..."])

"""Private parts of Lightning that belong to its Trainer and callbacks.

Each function answers by public means where Lightning's version is unknown. tests/engine/libraries holds what is
assumed of the installed version.
"""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import lightning
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping

KNOWN_VERSION = "2.6."
"""Beginning of the versions of Lightning with which the tests of this room were run."""

_logger = logging.getLogger("lightning_template")


def known_version() -> bool:
    """Tell whether Lightning is of a version whose private parts are known."""
    return lightning.__version__.startswith(KNOWN_VERSION)


@cache
def report_unknown_version() -> None:
    """Say once that a run goes through Lightning's own loops."""
    _logger.warning(
        "Lightning %s is not known here, but %sx is: executions are one step, checkpoints are written at the ends of "
        "epochs, and resume is Lightning's",
        lightning.__version__,
        KNOWN_VERSION,
    )


def batches_that_stepped(trainer: Trainer) -> int:
    """Return the step under which Lightning logs.

    `global_step` counts each optimizer, and counts a step before `on_train_batch_end`. No public name has this count.
    """
    if known_version():
        return trainer.fit_loop.epoch_loop._batches_that_stepped
    return trainer.global_step


def resumed_step(checkpoint: Mapping[str, Any]) -> int:
    """Return `batches_that_stepped` of the run that wrote a checkpoint.

    The checkpoint's own `global_step` counts each optimizer.
    """
    if known_version():
        step: int = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
        return step
    return int(checkpoint["global_step"])


def should_log(trainer: Trainer) -> bool:
    """Tell whether Lightning logs the running training step; its rule has no public name."""
    if known_version():
        return trainer._logger_connector.should_update_logs
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # the Trainer's parts set it
    return interval > 0 and trainer.global_step % interval == 0


def logged_in_validation(trainer: Trainer) -> list[str]:
    """Return the names of what the latest validation of a fit logged, as callbacks see them.

    The public `callback_metrics` has those of training too.
    """
    if known_version():
        results = trainer.fit_loop.epoch_loop.val_loop._results
        running = results.dataloader_idx
        names: list[str] = []
        for loader in {metric.meta.dataloader_idx: None for metric in results.values()}:
            results.dataloader_idx = loader  # `metrics` has those of this one alone
            names += results.metrics(on_step=False)["callback"]
        results.dataloader_idx = running
        return names
    return list(trainer.callback_metrics)


def logged_in_step(trainer: Trainer) -> dict[str, float]:
    """Return what the latest training step logged, as loggers get it; nothing where the version is unknown.

    `logged_metrics` has it only for steps that Lightning logs.
    """
    if not known_version():
        return {}
    metrics = trainer.fit_loop.epoch_loop._results.metrics(on_step=True)["log"]
    return {name: value.item() for name, value in metrics.items()}


def needs_no_validation(callback: Callback) -> bool:
    """Tell whether a callback looks at its monitor where there is no validation.

    `EarlyStopping` keeps its argument `check_on_train_epoch_end` under a private name. An unknown version's does not
    count: what cannot be known is no error.
    """
    if isinstance(callback, EarlyStopping):
        return known_version() and bool(callback._check_on_train_epoch_end)
    return True


def tracing() -> AbstractContextManager[None]:
    """Return a context in which torch may trace a module: its property `trainer` raises no error then."""
    if not known_version():
        return nullcontext()
    from lightning.pytorch.core.module import _jit_is_scripting

    return _jit_is_scripting()


def given_hyper_parameters() -> Mapping[str, Any] | None:
    """Return the plain arguments from YAML where `LightningCLI` constructs a module; they have no public name."""
    if not known_version():
        return None
    from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters

    given: Mapping[str, Any] | None = _given_hyperparameters.get()
    return given


def pop_instantiator(hyper_parameters: dict[str, Any]) -> str | None:
    """Remove from saved hyper-parameters, and return, the dotted path of what constructs the module from them.

    `LightningCLI` saves it; `load_from_checkpoint` reads it, and does nothing without a file.
    """
    instantiator: str | None = hyper_parameters.pop("_instantiator", None)
    return instantiator

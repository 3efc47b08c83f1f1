"""Isolation of callbacks that only observe: no error in them ends a run, and no result depends on them."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torchmetrics import Metric

from lightning_template.engine.libraries.torchmetrics_private import attributes
from lightning_template.engine.loops.random_state import random_state, set_random_state
from lightning_template.engine.process.errors import one_line

T = TypeVar("T")

HOOKS = {name for name in dir(Callback) if callable(getattr(Callback, name)) and not name.startswith("_")}
MAX_LENGTH = 300
"""Largest number of characters that are shown of an exception's message."""

_logger = logging.getLogger("lightning_template")


class Guard:
    """Runs the parts of an observer; one that fails is left out from then on, and one line says why.

    Signals, interrupts and `SystemExit` still end the run. Lack of memory does not: a part that failed has freed its
    own.
    """

    def __init__(self) -> None:
        self._left_out: set[str] = set()

    def __call__(self, part: str, action: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        """Run a part.

        Args:
            part: Name of the part, as the user reads it.
            action: What to call with the other arguments.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Returns:
            What `action` returns; None if it fails or failed before.
        """
        if part in self._left_out:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:
            self._left_out.add(part)
            reason = one_line(error)[:MAX_LENGTH]
            kind = type(error).__name__
            _logger.warning("left out from here on: %s: %s", part, kind if reason == kind else f"{kind}: {reason}")
            return None


class Observer(Callback):
    """A callback that never ends a run: when one of its hooks fails, it does nothing for the rest of the run.

    A part that may fail on its own, such as a figure, goes through `guard`, so that the others stay. What calls a
    user's module does so within `untouched`.
    """

    every_execution = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in HOOKS & vars(cls).keys():
            setattr(cls, name, _guarded(getattr(cls, name)))

    @functools.cached_property
    def guard(self) -> Guard:
        """What runs the parts of this callback."""
        return Guard()


def _guarded(hook: Callable[..., T]) -> Callable[..., T | None]:
    @functools.wraps(hook)
    def guarded(self: Observer, *args: Any, **kwargs: Any) -> T | None:
        return self.guard(f"the callback {type(self).__name__}", hook, self, *args, **kwargs)

    return guarded


@contextmanager
def untouched(module: LightningModule) -> Iterator[None]:
    """Evaluate a module, without gradients, and leave it and all random numbers as they were.

    That is each part's mode, buffers, gradients and metrics. What the module logs meanwhile is not logged.
    """
    random_numbers = random_state(module.device)
    modes = [(part, part.training) for part in module.modules()]
    gradients = [(weight, weight.grad) for weight in module.parameters()]
    with torch.inference_mode(False):  # what is made within could not be changed in place afterwards
        buffers = [
            (part, name, buffer, buffer.clone())
            for part in module.modules()
            for name, buffer in part.named_buffers(recurse=False, remove_duplicate=False)
        ]
        metrics = [(part, _metric_state(part)) for part in module.modules() if isinstance(part, Metric)]
    for weight, _ in gradients:
        weight.grad = None
    module.log = _ignore  # type: ignore[method-assign]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        del module.log
        for part, mode in modes:
            part.training = mode
        for weight, gradient in gradients:
            weight.grad = gradient
        for part, name, buffer, before in buffers:
            setattr(part, name, buffer)
            if not torch.equal(buffer, before):
                buffer.copy_(before)
        for metric, state in metrics:
            _restore(metric, state)
        set_random_state(random_numbers, module.device)


def _metric_state(metric: Metric) -> dict[str, tuple[Any, Any]]:
    """Return what a metric holds, by name, each with a copy."""
    return {name: (value, _copy(value)) for name, value in attributes(metric).items()}


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return list(value) if isinstance(value, list) else value


def _restore(metric: Metric, state: dict[str, tuple[Any, Any]]) -> None:
    """Give a metric what it held; the same objects where it can, as metrics of a collection share them."""
    for name, (value, before) in state.items():
        if isinstance(value, list):
            value[:] = before
        elif isinstance(value, Tensor) and not torch.equal(value, before):
            value = before
        setattr(metric, name, value)


class _Ignore:
    """Takes the place of a module's `log`; no function, which torch's tracing would compile."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


_ignore = _Ignore()

"""Deaths of a DataLoader's workers: whether a signal asked for them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning.pytorch import Trainer

from lightning_template.engine.libraries.torch_private import watch_workers
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import stop_signals

GRACE = 1.0
"""Seconds that a signal to a whole group may need to reach this process after a worker."""


def is_death_of_a_worker(error: BaseException) -> bool:
    """Tell whether an error says that a worker ended, or that it ended while it handed over a batch."""
    if isinstance(error, (ConnectionError, EOFError)):
        return True
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


@contextmanager
def stopping_with_workers(trainer: Trainer) -> Iterator[None]:
    """Take the death of a worker for a stop where a signal asks this process to stop too.

    Raises:
        Stopped: If a signal to the whole group ended a worker first.
    """
    try:
        yield
    except Exception as error:
        if is_death_of_a_worker(error) and (number := stop_signals.comes_within(GRACE)):
            raise Stopped(number, speaks=trainer.is_global_zero) from error
        raise


@contextmanager
def patient_with_workers() -> Iterator[None]:
    """Have torch report the death of a worker only where no signal asks this process to stop too.

    torch raises an error from its handler of SIGCHLD, at any place in the main thread.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    watch_workers()  # otherwise the first loader that starts workers would replace ours
    before = signal.getsignal(signal.SIGCHLD)

    def judge(number: int, frame: FrameType | None) -> None:
        try:
            if callable(before):
                before(number, frame)
        except RuntimeError:
            if not stop_signals.comes_within(GRACE):
                raise

    signal.signal(signal.SIGCHLD, judge)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is judge:
            signal.signal(signal.SIGCHLD, before)

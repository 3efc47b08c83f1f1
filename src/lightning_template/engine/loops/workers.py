"""Deaths of a DataLoader's workers, which may have got the signal that stops the run."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import register_after_fork
from types import FrameType, TracebackType

from lightning.pytorch import Trainer

from lightning_template.engine.libraries.torch_private import watch_workers
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import stop_signals

GRACE = 1.0
"""Seconds within which a signal to the process group reaches this process after a worker."""


def is_worker_death(error: BaseException) -> bool:
    """Tell whether an error says that a worker died, or that it died while it passed on a batch."""
    if isinstance(error, (ConnectionError, EOFError)):
        return True
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


@contextmanager
def stop_on_worker_death(trainer: Trainer) -> Iterator[None]:
    """Raise `Stopped` for the death of a worker where this process gets a stop signal too.

    Raises:
        Stopped: If a signal to the whole group ended a worker first.
    """
    try:
        yield
    except Exception as error:
        if is_worker_death(error) and (number := stop_signals.comes_within(GRACE)):
            raise Stopped(number, speaks=trainer.is_global_zero) from error
        raise


@contextmanager
def ignore_worker_death_on_stop() -> Iterator[None]:
    """Let torch report the death of a worker only where this process gets no stop signal.

    torch raises an error from its handler of SIGCHLD, at any place in the main thread. A worker that passes on a batch
    prints one when this process breaks off its half of that.
    """
    quiet = _QuietWorkers()  # as long as it lives
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    watch_workers()  # otherwise the first loader that starts workers would replace ours
    before = signal.getsignal(signal.SIGCHLD)

    def report(number: int, frame: FrameType | None) -> None:
        try:
            if callable(before):
                before(number, frame)
        except RuntimeError:
            if not stop_signals.comes_within(GRACE):
                raise

    signal.signal(signal.SIGCHLD, report)
    try:
        yield
    finally:
        del quiet
        if signal.getsignal(signal.SIGCHLD) is report:
            signal.signal(signal.SIGCHLD, before)


class _QuietWorkers:
    """Has processes that are forked while it lives print no lost connection: their parent tells why it left them."""

    def __init__(self) -> None:
        register_after_fork(self, _QuietWorkers.take_hook)

    def take_hook(self) -> None:
        """Drop what this process would print of a lost connection."""
        before = sys.excepthook

        def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
            if not isinstance(error, (ConnectionError, EOFError)):
                before(kind, error, traceback)

        sys.excepthook = report

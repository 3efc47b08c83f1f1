"""Signals that ask this process to stop."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning_template.engine.process.errors import Stopped

ALWAYS = (signal.SIGINT, signal.SIGTERM)
# SIGHUP: the terminal is gone, such as that of an ssh session. SIGUSR1: the time that SLURM gives is nearly over.
STOPPING = (*ALWAYS, *(getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)))


class StopSignals:
    """The first signal that asks this process to stop.

    While it listens, the signal raises `Stopped` at once. While it holds, as in training, the loop looks at `received`
    and stops where it can go on later. Another SIGINT interrupts at once; other signals after the first one change
    nothing, since schedulers send several. SIGHUP and SIGUSR1 that are ignored or handled by somebody else are left
    alone: `nohup` has SIGHUP ignored.

    A terminal or a scheduler sends signals to the workers of a DataLoader too. That these end is then no reason to
    break off the step that is going on, as torch would when it hears of it; nor, when the run has failed already, to
    break off what is done about that.
    """

    received: int | None = None
    """Number of the signal."""

    def __init__(self) -> None:
        self._process: int | None = None
        self._holds = False

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Have a signal raise `Stopped`.

        Raises:
            Stopped: At the end, if something caught what a signal raised.
        """
        if self._process == os.getpid() or threading.current_thread() is not threading.main_thread():
            yield  # it listens already; elsewhere than in the main thread Python takes no handlers
            return
        self.received, self._process = None, os.getpid()
        taken = [number for number in STOPPING if number in ALWAYS or signal.getsignal(number) == signal.SIG_DFL]
        before = {number: signal.signal(number, self._receive) for number in taken}
        try:
            yield
            self._raise_received()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.received = self._process = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have a signal wait for somebody who looks at `received`.

        Raises:
            Stopped: At the beginning or the end, if a signal came that nobody acted on.
        """
        with self.listen():
            self._raise_received()
            children = signal.getsignal(signal.SIGCHLD) if self._process else None
            self._holds = True
            try:
                yield
            except BaseException:
                if self._process:
                    _ignore_children()
                raise
            else:
                if children is not None:
                    signal.signal(signal.SIGCHLD, children)
            finally:
                self._holds = False
            self._raise_received()

    def comes_within(self, seconds: float) -> int | None:
        """Return the number of a signal that came, or comes soon: that to a whole group may reach a worker first."""
        deadline = time.monotonic() + seconds
        while self.received is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.received

    def _raise_received(self) -> None:
        if self.received is not None:
            raise Stopped(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child by fork, such as a worker of a DataLoader, which its parent ends
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        if self.received is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.received = number
        _ignore_children()
        if not self._holds:
            raise Stopped(number)


def _ignore_children() -> None:
    signal.signal(signal.SIGCHLD, lambda *_: None)  # SIG_IGN would take the exit status of subprocesses away


stop_signals = StopSignals()
"""The one of this process."""

"""Signals that ask a run to stop."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignals:
    """While entered, keeps the first SIGINT or SIGTERM for the loop to look at; a second SIGINT interrupts at once.

    A terminal or a scheduler sends them to the workers of a DataLoader too. That these end is then no reason to break
    off the step that is going on, as torch would when it hears of it; nor, when the run has failed already, to break
    off what is done about that. torch finds out in another way too, within five seconds.
    """

    received: int | None = None
    """Number of the signal."""

    def __enter__(self) -> Self:
        self.received = None
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._receive)
            self._handlers[signal.SIGCHLD] = signal.getsignal(signal.SIGCHLD)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is not None and self._handlers:
            _ignore_children()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self.received:
            raise KeyboardInterrupt
        self.received = number
        _ignore_children()


def _ignore_children() -> None:
    signal.signal(signal.SIGCHLD, lambda *_: None)  # SIG_IGN would take the exit status of subprocesses away

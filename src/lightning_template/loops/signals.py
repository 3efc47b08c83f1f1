"""Signals that ask a run to stop."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignals:
    """While entered, keeps the first SIGINT or SIGTERM for the loop to look at; a second SIGINT interrupts at once.

    A terminal or a scheduler sends them to the workers of a DataLoader too. That these end is then no reason to break
    off the step that is going on, as torch would when it hears of it.
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

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self.received:
            raise KeyboardInterrupt
        self.received = number
        signal.signal(signal.SIGCHLD, lambda *_: None)

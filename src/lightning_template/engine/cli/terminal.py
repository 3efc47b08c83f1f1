"""Lines on the terminal: those a user can act on, and no others."""

import logging
import sys
import threading
import warnings
from typing import Any

from lightning_template.engine.process.errors import printable


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what is `sys.stderr` at the time, which a program that calls the CLI may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return a line that steers no terminal, whatever a file has put into it."""
        return printable(super().format(record))


_report_thread = threading.excepthook


def _report_other_thread(args: threading.ExceptHookArgs) -> None:
    """Leave out TensorBoard's writer: the main thread raises what it failed with."""
    if type(args.thread).__name__ != "_AsyncWriterThread":
        _report_thread(args)


def quieten() -> None:
    """Keep the terminal for what a user can act on."""
    threading.excepthook = _report_other_thread
    for name in ("lightning.pytorch", "lightning.fabric"):  # devices found, advertisements, why fitting stopped
        logging.getLogger(name).setLevel(logging.WARNING)
    logger = logging.getLogger("lightning_template")
    logger.setLevel(logging.INFO)
    logger.handlers = [_Stderr()]
    for message in (
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6.6 with torch 2.15
        r"Total length of `list` across ranks is zero",  # a datamodule without validation data says so with []
        r"Precision \S+ is not supported by the model summary",  # which tells a size in MB, on which nothing depends
        r"Image size \(\d+ pixels\) exceeds limit",  # of PIL's; what is decoded has a limit of ours
    ):
        warnings.filterwarnings("ignore", message=message)

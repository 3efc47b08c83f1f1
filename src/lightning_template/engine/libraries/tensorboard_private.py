"""Private parts of TensorBoard. tests/engine/libraries holds what is assumed of the installed version."""

import threading
from collections.abc import Callable
from typing import Any


def wrap_records(writer: Any, wrap: Callable[[Any], Any]) -> None:
    """Exchange what writes the records of an event file.

    A thread writes them. Its first error would end it with a traceback, and come again with each call of the writer.

    Args:
        writer: Writer of torch.
        wrap: Returns what takes the place of a `RecordWriter`; it is given what is there now.
    """
    if writer.file_writer is None:  # closed
        return
    events = writer.file_writer.event_writer._async_writer
    events._writer = events._worker._record_writer = wrap(events._writer)


def is_writer(thread: threading.Thread | None) -> bool:
    """Tell whether a thread is the one that writes event files."""
    return type(thread).__name__ == "_AsyncWriterThread"

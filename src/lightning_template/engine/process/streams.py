"""Standard output and standard error that fail no command: a run goes on when nobody can read what it says."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class Output:
    """A text stream that drops what the stream below it cannot take.

    Characters that its encoding lacks are escaped. After its first error, such as of a full disk or of a pipe that
    nobody reads, nothing is written any more.

    Args:
        stream: Stream to write to; None where the descriptor was closed before Python started.
    """

    def __init__(self, stream: TextIO | None) -> None:
        closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.failure: OSError | ValueError | None = closed if stream is None else None
        self._stream = io.TextIOWrapper(io.BytesIO()) if stream is None else stream

    def write(self, text: str) -> int:
        """Write a text, as far as that is possible."""
        if self.failure is None:
            try:
                self._write(text)
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self._fail(error)
        return len(text)

    def _write(self, text: str) -> None:
        """Write line by line: with PYTHONUNBUFFERED, Python drops the rest of what a pipe takes in part."""
        for line in text.splitlines(keepends=True):
            try:
                self._stream.write(line)
            except UnicodeEncodeError as error:
                self._stream.write(line.encode(error.encoding, "backslashreplace").decode(error.encoding))

    def flush(self) -> None:
        """Hand on what was written."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        """Tell whether a terminal shows what is written."""
        try:
            return self.failure is None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def _fail(self, error: OSError | ValueError) -> None:
        self.failure = error
        with suppress(Exception):  # what it still keeps would fail when Python ends
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def tolerant_output() -> Iterator[Output]:
    """Let standard output and standard error fail nothing.

    Yields:
        What takes the place of standard output.
    """
    _open_descriptors()
    before = sys.stdout, sys.stderr
    out, err = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_descriptors() -> None:
    """Open what is closed of the first three descriptors: the next file would get their number, and what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free

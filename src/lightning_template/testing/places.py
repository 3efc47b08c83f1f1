"""Places in a user's files: where a function is defined, a line ran, an error came from."""

import inspect
import site
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

from lightning_template.testing.subject import Subject
from lightning_template.testing.task_loaders import TaskLoaders

PACKAGE = Path(__file__).parents[1]
LIBRARIES = [
    *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")},
    *site.getsitepackages(),
    site.getusersitepackages(),
    str(PACKAGE / "testing"),
    str(PACKAGE / "engine"),
]
"""Folders of files that are not the user's."""


def place_of_hooks(subject: Subject, names: Iterable[str]) -> str:
    """Return where the first of some methods of data or task is the user's; empty if none is."""
    for name in names:
        owner: Any = subject.data if name == "setup" or name.endswith("dataloader") else subject.once(Subject.task)
        if place := place_of(owner.task if isinstance(owner, TaskLoaders) else owner, name):
            return place
    return ""


def place_of(owner: Any, name: str) -> str:
    """Return where a class of the user's, or one of its bases, defines a method; empty if no file of theirs does."""
    for base in type(owner).__mro__:
        function = vars(base).get(name)
        code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
        if code is not None:
            return _place(code.co_filename, code.co_firstlineno)
    return ""


def place_of_error(error: BaseException) -> str:
    """Return the innermost line of the user's that an error came through; empty if there is none."""
    return _innermost(reversed([*walk_tb(error.__traceback__)]))


def place_of_call() -> str:
    """Return the innermost line of the user's that is running now; empty if there is none."""
    return _innermost(_frames(inspect.currentframe()))


def _frames(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


def _innermost(frames: Iterable[tuple[FrameType, int]]) -> str:
    return next(filter(None, (_place(frame.f_code.co_filename, line) for frame, line in frames)), "")


def _place(file: str, line: int) -> str:
    if file.startswith("<") or any(file.startswith(folder) for folder in LIBRARIES):
        return ""
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"

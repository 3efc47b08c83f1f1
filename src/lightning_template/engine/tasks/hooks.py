"""Completes hooks that a subclass overrides without calling `super()`."""

import functools
from collections.abc import Callable, Iterable
from typing import Any


def complete_hooks(cls: type, base: type, names: Iterable[str]) -> None:
    """Have the hooks that a class overrides followed by those of its base.

    Args:
        cls: Class that may override the hooks.
        base: Class whose hooks must run, once or more.
        names: Names of the hooks.
    """
    for name in names:
        hook, of_base = getattr(cls, name), getattr(base, name)
        if hook is not of_base and not hasattr(hook, "completed"):
            setattr(cls, name, _completed(hook, of_base))


def _completed(hook: Callable[..., None], base: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(hook)
    def both(*args: Any, **kwargs: Any) -> None:
        hook(*args, **kwargs)
        base(*args, **kwargs)

    both.completed = True  # type: ignore[attr-defined]  # a mark
    return both

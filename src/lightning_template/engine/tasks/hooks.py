"""Hooks of a base class that run where a subclass overrides them without calling `super()`."""

import functools
from collections.abc import Callable
from typing import Any


def complete_hooks(cls: type, base: type) -> None:
    """Run the hooks of a base, which are its methods `setup` and `on_...`, before those that override them.

    Args:
        cls: Class that may override the hooks.
        base: Class whose hooks must run, once or more.
    """
    for name in [name for name in vars(base) if name == "setup" or name.startswith("on_")]:
        hook, of_base = getattr(cls, name), getattr(base, name)
        if hook is not of_base and of_base not in getattr(hook, "completed", ()):
            setattr(cls, name, _completed(hook, of_base))


def _completed(hook: Callable[..., None], of_base: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(hook)
    def both(*args: Any, **kwargs: Any) -> None:
        of_base(*args, **kwargs)
        hook(*args, **kwargs)

    both.completed = (*getattr(hook, "completed", ()), of_base)  # type: ignore[attr-defined]
    return both

"""What a configuration changes: it without everything that is as the classes have it by default."""

import pkgutil
from functools import cache
from typing import Any

from jsonargparse import ArgumentParser


def strip_defaults(value: Any) -> Any:
    """Return a configuration without the `init_args` that equal the defaults of their class.

    Args:
        value: Plain configuration; classes are dicts of `class_path` and `init_args`.

    Example:
        >>> strip_defaults({"class_path": "torch.nn.MSELoss", "init_args": {"reduction": "mean"}})
        {'class_path': 'torch.nn.MSELoss'}
    """
    if isinstance(value, list):
        return [strip_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    stripped = {key: strip_defaults(item) for key, item in value.items()}
    if "class_path" in stripped:
        defaults = _defaults(stripped["class_path"])
        arguments = stripped.pop("init_args", {})
        changed = {name: item for name, item in arguments.items() if item != defaults.get(name)}
        stripped |= {"init_args": changed} if changed else {}
    return stripped


@cache
def _defaults(class_path: str) -> dict[str, Any]:
    """Return the defaults of a class's or function's parameters; those without one count as None."""
    target = pkgutil.resolve_name(class_path)
    parser = ArgumentParser()
    add = parser.add_class_arguments if isinstance(target, type) else parser.add_function_arguments
    add(target, fail_untyped=False)
    defaults: dict[str, Any] = strip_defaults(parser.get_defaults().as_dict())
    return defaults

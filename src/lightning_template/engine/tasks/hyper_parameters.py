"""Which hyper-parameters a checkpoint may hold."""

import inspect
from collections.abc import Mapping
from types import FrameType
from typing import Any


def is_plain(value: Any) -> bool:
    """Tell whether `value` is made of numbers, strings, None, lists, tuples and dicts alone.

    Example:
        >>> is_plain({"class_path": "torch.nn.MSELoss", "init_args": {"sizes": [1, 2]}}), is_plain(object())
        (True, False)
    """
    if type(value) is dict:  # not a subclass: weights-only loading takes these types alone
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


def plain_values(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries whose values are plain, see `is_plain`."""
    return {name: value for name, value in hyper_parameters.items() if is_plain(value)}


def constructor_frame(made: object) -> FrameType | None:
    """Return the frame of the constructor that made an object, when called by that of one of its bases.

    Its arguments are those to construct the object with once more. Those of the bases' constructors are not: a class
    that fixes an argument of its base does not take it.
    """
    frame = inspect.currentframe()
    found = None
    while (frame := frame.f_back if frame else None) is not None and frame.f_code.co_name == "__init__":
        if frame.f_locals.get(frame.f_code.co_varnames[0]) is not made:
            break
        found = frame
    return found

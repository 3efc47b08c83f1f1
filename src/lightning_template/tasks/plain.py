"""Which hyper-parameters a checkpoint may hold."""

from collections.abc import Mapping
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

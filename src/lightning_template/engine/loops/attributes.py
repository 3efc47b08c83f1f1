"""Attributes of a module that training changes and no checkpoint of Lightning's holds, such as a hidden state."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Metric

MAX_ITEMS = 10_000
"""Number of values in lists and tuples beyond which an attribute is not looked at."""
MAX_NUMBERS = 2**22
"""Number of numbers beyond which it is not either."""

_OF_MODULES = vars(nn.Module()).keys() | vars(LightningModule()).keys()
"""Attributes that are not a user's."""

Attributes = dict[str, dict[str, Any]]


class ChangedAttributes:
    """The attributes of a module that differ from what they were when training began.

    Only values that a checkpoint can hold count: numbers, texts, tensors, None, and lists, tuples and dicts of them.

    Args:
        module: Module that is about to be trained.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._before = {(part, name): _copy(value) for part, name, value in _attributes(module)}

    def dump(self) -> Attributes:
        """Return the changed attributes of each part by its name, on the CPU."""
        found: Attributes = {}
        names = {part: name for name, part in self._module.named_modules()}
        for part, name, value in _attributes(self._module):
            if (part, name) not in self._before or not _is_same(value, self._before[part, name]):
                found.setdefault(names[part], {})[name] = _copy(value, torch.device("cpu"))
        return found

    def load(self, attributes: Attributes, device: torch.device) -> None:
        """Restore what `dump` returned."""
        for part, values in attributes.items():
            for name, value in values.items():
                setattr(self._module.get_submodule(part), name, _copy(value, device))


def _attributes(module: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    for part in module.modules():
        if isinstance(part, Metric) or hasattr(part, "dump_waiting"):  # `metric_state` saves these
            continue
        for name, value in vars(part).items():
            if name not in _OF_MODULES and _is_small(value):
                yield part, name, value


def _is_small(value: Any) -> bool:
    """Tell whether a value is made of what a checkpoint can hold, and is not large."""
    items, numbers, waiting = 0, 0, [value]
    while waiting:
        item = waiting.pop()
        items += 1
        if type(item) in (list, tuple):
            waiting += item
        elif type(item) is dict and all(isinstance(key, str | int) for key in item):
            waiting += item.values()
        elif type(item) is Tensor:
            numbers += item.numel()
        elif item is not None and type(item) not in (bool, int, float, str):
            return False
        if items + len(waiting) > MAX_ITEMS or numbers > MAX_NUMBERS:
            return False
    return True


def _copy(value: Any, device: torch.device | None = None) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to(device or value.device, copy=True)
    if isinstance(value, dict):
        return {key: _copy(item, device) for key, item in value.items()}
    return type(value)(_copy(item, device) for item in value) if isinstance(value, list | tuple) else value


def _is_same(value: Any, other: Any) -> bool:
    if type(value) is not type(other):
        return False
    if isinstance(value, Tensor):
        return value.dtype == other.dtype and torch.equal(value, other)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(_is_same(item, other[key]) for key, item in value.items())
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(_is_same, value, other))
    return bool(value == other)

"""Nests: tensors in lists, tuples, dictionaries, dataclasses and objects of any class, within one another."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lightning_template.engine.libraries.torch_private import tree_map


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """Return a copy of a nest in which each tensor is replaced; whatever else it holds is shared.

    Args:
        function: Returns what takes a tensor's place.
        nest: A tensor, or what holds tensors. Those are found among the items of lists, tuples and dictionaries, and
            among the attributes of other objects.

    Example:
        >>> import torch
        >>> map_tensors(lambda tensor: tensor + 1, {"a": torch.zeros(2), "b": ["text", torch.ones(1)]})
        {'a': tensor([1., 1.]), 'b': ['text', tensor([2.])]}
    """
    if isinstance(nest, Tensor):
        return function(nest)
    found: dict[int, tuple[Any, Any]] = {}  # with the original, so that no other object gets its id

    def apply(leaf: Any) -> Any:
        if id(leaf) in found:
            return found[id(leaf)][1]
        if isinstance(leaf, Tensor):
            other: Any = function(leaf)
            found[id(leaf)] = leaf, other
            return other
        attributes = attributes_of(leaf)
        other = _copy(leaf) if attributes or isinstance(leaf, dict) else leaf
        found[id(leaf)] = leaf, other
        if other is not leaf:  # functions and members of enumerations are their own copies
            for name, value in attributes.items():
                object.__setattr__(other, name, tree_map(apply, value))  # dataclasses may be frozen
            if isinstance(leaf, dict):  # one with attributes, such as the outputs of transformers' models
                for key, value in leaf.items():
                    other[key] = tree_map(apply, value)
        return other

    return tree_map(apply, nest)


def tensors_of(nest: Any) -> list[Tensor]:
    """Return the tensors of a nest, each once, in the order of `map_tensors`."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(keep, nest)
    return found


def named_tensors(nest: Any, name: str) -> list[tuple[str, Tensor]]:
    """Return the tensors of a nest, each once, with the names by which Python reaches them.

    Args:
        nest: A tensor, or what holds tensors.
        name: Name of the nest.

    Example:
        >>> import torch
        >>> [name for name, _ in named_tensors({"a": torch.zeros(2), "b": [torch.ones(1)]}, "batch")]
        ["batch['a']", "batch['b'][0]"]
    """
    found: list[tuple[str, Tensor]] = []
    seen: dict[int, Any] = {}  # the objects themselves, so that no other one gets their id

    def look(part: Any, path: str) -> None:
        if id(part) in seen:
            return
        seen[id(part)] = part
        if isinstance(part, Tensor):
            found.append((path, part))
            return
        if isinstance(part, dict):
            inside = [(f"{path}[{key!r}]", value) for key, value in part.items()]
        elif isinstance(part, list | tuple):
            names = getattr(part, "_fields", None)
            inside = [(f"{path}.{names[i]}" if names else f"{path}[{i}]", value) for i, value in enumerate(part)]
        else:
            inside = [(f"{path}.{key}", value) for key, value in attributes_of(part).items()]
        for path, value in inside:
            look(value, path)

    look(nest, name)
    return found


def is_plain(nest: Any) -> bool:
    """Tell whether a nest is made of tensors, dictionaries, lists and tuples alone, which a checkpoint can hold."""
    if type(nest) is dict:
        return all(isinstance(key, str | int) and is_plain(value) for key, value in nest.items())
    if type(nest) in (list, tuple):
        return all(map(is_plain, nest))
    return type(nest) is Tensor


def _copy(leaf: Any) -> Any:
    """Return a copy of an object; itself if its class allows none."""
    try:
        return copy.copy(leaf)
    except Exception:
        return leaf


def attributes_of(leaf: Any) -> dict[str, Any]:
    """Return the attributes of an object that may hold tensors; none of a class or a module."""
    if isinstance(leaf, type | nn.Module):
        return {}
    if hasattr(leaf, "__dict__"):
        return dict(vars(leaf))
    fields = dataclasses.fields(leaf) if dataclasses.is_dataclass(leaf) else ()  # one with slots
    return {field.name: getattr(leaf, field.name) for field in fields}

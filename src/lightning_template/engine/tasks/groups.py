"""Groups of parameters with their own options, such as a weight decay of 0."""

import difflib
import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lightning_template.engine.libraries.torch_private import NORMALIZATION

BIASES_AND_NORMS = "biases_and_norms"
"""Stands for all biases, parameters of normalisation layers, and others of at most one dimension."""
NORMS = (NORMALIZATION, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

Options = Mapping[str, Mapping[str, Any]]


def parameter_groups(module: nn.Module, options: Options) -> list[dict[str, Any]]:
    """Return the groups of the parameters that are trained, as optimizers take them; each parameter is in one.

    Args:
        module: Module with the parameters.
        options: Options of an optimizer for each pattern of names. Where several match, all count, the last one most.

    Raises:
        ValueError: If a pattern matches nothing.
    """
    names = _names(module)
    small = _biases_and_norms(module)
    groups: dict[tuple[str, ...], dict[str, Any]] = {(): {"params": [], "name": "others"}}  # the usual ones are first
    matched: set[str] = set()
    for parameter in (parameter for parameter in module.parameters() if parameter.requires_grad):
        found = tuple(
            pattern
            for pattern in options
            if any(_matches(name, pattern) for name in names[id(parameter)])
            or (pattern == BIASES_AND_NORMS and id(parameter) in small)
        )
        matched.update(found)
        group = groups.setdefault(found, {"params": [], "name": " ".join(found)})
        for pattern in found:
            group.update(options[pattern])
        group["params"].append(parameter)
    for pattern in options:
        if pattern not in matched:
            known = [name for found in names.values() for name in found]
            raise ValueError(f"`optimizer_groups`: no trained parameter is named {pattern}{_nearest(pattern, known)}")
    return [group for group in groups.values() if group["params"]]


def check_groups(optimizer: Optimizer, options: Options) -> None:
    """Check that an optimizer has the options of its groups.

    Raises:
        ValueError: If it does not have one, or a value cannot be one of it.
    """
    for pattern, group in options.items():
        for name, value in group.items():
            where = f"`optimizer_groups.{pattern}.{name}`"
            if name not in optimizer.defaults:
                kind, known = type(optimizer).__name__, ", ".join(optimizer.defaults)
                raise ValueError(f"{where} is not an option of {kind}: it has {known}")
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if isinstance(optimizer.defaults[name], float) and not (is_number and 0 <= value < math.inf):
                raise ValueError(f"{where} must be a number of at least 0, got {value}")


def _names(module: nn.Module) -> dict[int, list[str]]:
    """Return the names of each trained parameter: one that is shared has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if parameter.requires_grad:
            names.setdefault(id(parameter), []).append(name)
    return names


def _biases_and_norms(module: nn.Module) -> set[int]:
    found = set()
    for part in module.modules():
        is_norm = isinstance(part, NORMS)
        for name, parameter in part.named_parameters(recurse=False):
            if is_norm or parameter.ndim <= 1 or "bias" in name.split("_"):
                found.add(id(parameter))
    return found


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _nearest(pattern: str, names: list[str]) -> str:
    """Return a hint with names, of modules and of parameters, that are like a pattern, or else the first ones."""
    modules = {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}
    near = difflib.get_close_matches(pattern, sorted({*names, *modules}), cutoff=0.5)
    return f", did you mean {' or '.join(near)}?" if near else f": there are {', '.join(names[:4])} ..."

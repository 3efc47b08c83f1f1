"""Sizes that a configuration lacks are taken from the data between parsing and construction.

jsonargparse can link an argument to the result of another one. But such a link removes the option, so that nobody could
give another value, and its target is one fixed key. Lazy modules know no number of outputs, and have no weights before
a batch.
"""

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule

from lightning_template.engine.cli.class_weights import balance, is_balanced, weight_options, wrong_lengths
from lightning_template.engine.cli.parser import signature
from lightning_template.engine.cli.size_options import SizeOption, arguments_of, size_options, takes_one_value
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.sizes import CLASSES, OUTPUTS, DataSizes, SizeValues, look_at


def fill_sizes(
    config: Namespace, make_data: Callable[[], LightningDataModule] | None, earlier: Mapping[str, Any] | None = None
) -> LightningDataModule | None:
    """Give the sizes that a task and its network lack their values.

    Args:
        config: Configuration, which is changed.
        make_data: Makes its datamodule, which is done only if a size is missing; None if it has none.
        earlier: Configuration of the run whose checkpoint is used; the sizes that it has come first.

    Returns:
        The datamodule if it was made and is to be used, see `look_at`.

    Raises:
        ValueError: If the data do not tell a size.
    """
    model = config.get("model")
    lacking = [] if model is None else [option for option in size_options(model) if option.is_missing]
    lacking += [] if model is None else [*filter(is_balanced, weight_options(model))]
    lacking = [option for option in lacking if not _take_over(option, earlier or {})]
    data = look_at(make_data, lambda data: _fill(model, lacking, data)) if lacking and make_data else None
    _check_complete("model", model)
    if unbalanced := [option.option for option in lacking if is_balanced(option)]:
        raise ValueError(f"`{unbalanced[0]}` is balanced by the data of a datamodule, and there is none")
    return data


def contradictions(model: Namespace, data: LightningDataModule, failed: bool) -> str:
    """Return what the data have and sizes that are given have not, on one line; empty if they agree.

    Args:
        model: Configuration of the task, as it was given.
        data: Its data, ready for training.
        failed: Whether a batch failed. Otherwise sizes may be sound, as a task may embed its inputs first.
    """
    if not failed and not weight_options(model):
        return ""
    options = size_options(model)
    values = _values(model, options, DataSizes(data, is_ready=True))
    found = [*wrong_lengths(model, values)]
    if found or not failed:
        return "; ".join(found)
    for option in options:
        value = None if option.is_missing else option.value
        # A network has as many outputs as the task has classes, by whatever name.
        role = OUTPUTS if option.key != "model" and option.role == CLASSES else option.role
        if isinstance(value, int | list | tuple) and (what := values.contradiction(role, value)):
            found.append(f"the data have {what}, `{option.option}` is {value}")
    return "; ".join(found)


def _fill(model: Namespace, lacking: list[SizeOption], data: LightningDataModule) -> None:
    values = _values(model, size_options(model), DataSizes(data))
    for option in lacking:
        if is_balanced(option):
            balance(option, values)
            continue
        value = values.of(option.name)
        is_whole = signature(option.part.class_path).left_out.get(option.name) is int
        if value is not None and not (is_whole and isinstance(value, tuple)):
            option.value = value
        elif (failure := values.sizes.failure) is not None:
            reason = f"{type(failure).__name__}: {one_line(failure)}"
            raise ValueError(f"`{option.option}` is missing, and no sample could be looked at: {reason}") from failure


def _values(model: Namespace, options: list[SizeOption], sizes: DataSizes) -> SizeValues:
    own = [option for option in options if option.key == "model" and option.role == CLASSES]
    given = [option.value for option in own if not option.is_missing and isinstance(option.value, int)]
    return SizeValues(sizes, next(iter(given), None), takes_one_value(arguments_of(model).get("loss")))


def _take_over(option: SizeOption, earlier: Mapping[str, Any]) -> bool:
    """Take a value, which may be None, from another configuration, and tell whether that has the same class there."""
    part: Any = earlier
    for name in option.key.split("."):
        part = part.get(name) if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not _is_same(part.get("class_path"), option.part.class_path):
        return False
    value = (part.get("init_args") or {}).get(option.name)
    if is_balanced(option) and not isinstance(value, list):
        return False
    option.value = torch.tensor(value) if is_balanced(option) else value
    return True


def _is_same(class_path: Any, other: str) -> bool:
    """Tell whether two paths name the same class, which may have several."""
    try:
        return pkgutil.resolve_name(str(class_path)) is pkgutil.resolve_name(other)
    except (ImportError, AttributeError, ValueError):
        return False


def _check_complete(key: str, value: Any) -> None:
    """Check that all required arguments have a value.

    Raises:
        ValueError: If one has none.
    """
    parts = dict(enumerate(value)) if isinstance(value, list) else vars(value) if isinstance(value, Namespace) else {}
    if "class_path" in parts:
        key, parts = f"{key}.init_args", arguments_of(value)
        lacking = [name for name in parts if parts[name] is None and name in signature(value.class_path).left_out]
        if lacking:
            option = f"{key}.{lacking[0]}".replace("model.init_args.", "model.", 1)
            raise ValueError(f"`{option}` is missing, and the data do not tell it")
    for name, part in parts.items():
        _check_complete(f"{key}.{name}", part)

"""Hyper-parameters that a checkpoint can hold: plain values, which loading with `weights_only` takes."""

import inspect
from collections.abc import Mapping
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.parsing import get_init_args

from lightning_template.engine.libraries.lightning_trainer import given_hyper_parameters


def save_plain_hyperparameters(module: LightningModule) -> None:
    """Save the plain arguments of a module's constructor, which calls this, as hyper-parameters.

    A module made from YAML has plain arguments alone: classes are dicts of `class_path` and `init_args`. Objects made
    in Python are not saved, so `load_from_checkpoint` needs them again.
    """
    frame = _constructor_frame(module, inspect.currentframe())
    given = given_hyper_parameters()
    arguments = get_init_args(frame) if frame is not None and given is None else given or {}
    vars(module)["constructor_arguments"] = arguments
    if names := list(plain_values(arguments)):
        module.save_hyperparameters(*names, logger=False, frame=frame)


def constructor_arguments(module: LightningModule) -> dict[str, Any]:
    """Return the arguments to construct a module again: also those that are not plain, otherwise its `hparams`."""
    return dict(vars(module).get("constructor_arguments", module.hparams))


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


def _constructor_frame(made: object, frame: FrameType | None) -> FrameType | None:
    """Return the frame of the outermost constructor of an object among the callers of `frame`.

    Its arguments construct the object again. Those of a base's constructor do not: a class that fixes an argument of
    its base does not take it.
    """
    found = None
    while (frame := frame.f_back if frame else None) is not None and frame.f_code.co_name == "__init__":
        if frame.f_locals.get(frame.f_code.co_varnames[0]) is not made:
            break
        found = frame
    return found

"""Weights of classes in a configuration: a list of numbers for any tensor, or `balanced`, by the training data."""

from collections.abc import Iterator
from typing import Any

import torch
from jsonargparse import Namespace
from jsonargparse.typing import register_type
from torch import Tensor

from lightning_template.engine.cli.size_options import SizeOption, arguments_of, loss_parts, takes_one_value
from lightning_template.engine.sizes import SizeValues, balanced_pos_weight, balanced_weights

BALANCED = "balanced"
WEIGHTS = ("weight", "pos_weight")
"""Arguments of losses that may be balanced."""


def _to_tensor(value: Any) -> Any:
    return value if isinstance(value, Tensor) or value == BALANCED else torch.tensor(value, dtype=torch.float32)


register_type(
    Tensor,
    serializer=lambda value: value.tolist() if isinstance(value, Tensor) else value,
    deserializer=_to_tensor,
    deserializer_exceptions=(ValueError, TypeError, RuntimeError),
    type_check=lambda value, kind: isinstance(value, kind) or (isinstance(value, str) and value == BALANCED),
)


def weight_options(model: Namespace) -> list[SizeOption]:
    """Return the weights among the arguments of a task's losses that have a value."""
    found = [SizeOption(part, key, name) for part, key in loss_parts(model) for name in WEIGHTS]
    return [option for option in found if arguments_of(option.part).get(option.name) is not None]


def is_balanced(option: SizeOption) -> bool:
    """Tell whether a weight is to be balanced."""
    return isinstance(option.value, str) and option.value == BALANCED


def balance(option: SizeOption, values: SizeValues) -> None:
    """Give a weight that is to be balanced its numbers.

    Raises:
        ValueError: If the data cannot be balanced.
    """
    targets = values.sizes.train_targets()
    if targets is None:
        raise ValueError(f"`{option.option}` is {BALANCED}, and the targets of the training data are not known")
    if option.name == "pos_weight":
        option.value = balanced_pos_weight(targets)
    elif takes_one_value(option.part):
        raise ValueError(f"`{option.option}` weighs samples, not classes: give a `pos_weight` that is {BALANCED}")
    else:
        option.value = balanced_weights(targets, values.of("num_classes") or int(targets.max()) + 1)


def wrong_lengths(model: Namespace, values: SizeValues) -> Iterator[str]:
    """Yield what the data have and weights have not; torch would stretch some of them instead."""
    for option in weight_options(model):
        if isinstance(option.value, str) or (option.name == "weight" and takes_one_value(option.part)):
            continue
        number, classes = torch.as_tensor(option.value).numel(), values.of("num_classes")
        right, what = (values.of("num_labels"), "labels") if classes is None else (classes, "classes")
        if option.name == "pos_weight" and (number == 1 or classes == 2):
            right, what = 1, "value for each sample of two classes"
        if right not in (None, number):
            yield f"the data have {right} {what}, `{option.option}` has {number} number{'s' * (number != 1)}"

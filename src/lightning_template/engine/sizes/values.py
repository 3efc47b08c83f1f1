"""Values of the arguments that say how large the data are."""

import math
from dataclasses import dataclass
from typing import Any

from lightning_template.engine.sizes.data_sizes import DataSizes
from lightning_template.engine.sizes.names import (
    CARDINALITIES,
    CHANNELS,
    CLASSES,
    INPUTS,
    LABELS,
    NAMES,
    OUTPUTS,
    PIXELS,
    ROLES,
    TARGETS,
    TOKENS,
)


@dataclass
class SizeValues:
    """Values that arguments should have.

    Args:
        sizes: Sizes of the data.
        num_classes: Number of classes that the task was given; None for that of the data.
        one_value: Whether the loss takes one value for each sample of two classes.
    """

    sizes: DataSizes
    num_classes: int | None = None
    one_value: bool = False

    def of(self, name: str) -> Any:
        """Return the value of an argument; None if nothing tells it for certain."""
        role = ROLES.get(name)
        if role == CLASSES:
            return self._classes()
        if role == TARGETS:
            return self.sizes.get("num_targets")
        if role == LABELS:
            return self.sizes.get("num_labels") or self._classes()
        if role == OUTPUTS:
            return self._outputs()
        if role == TOKENS:
            return next(filter(None, map(self.sizes.get, (name, *NAMES[TOKENS].split()))), None)
        if role in (None, CARDINALITIES):
            return self.sizes.get(name)
        shape = self.sizes.get("input_shape")
        return _of_shape(role, name, shape) if isinstance(shape, tuple) else None

    def contradiction(self, role: str | None, value: Any) -> str:
        """Return what the data have instead of the value of an argument; empty if they agree or nobody knows.

        Args:
            role: What the argument counts; None if that is not known.
            value: Its value.
        """
        if role in (CLASSES, OUTPUTS):
            return self._contradicted_classes(role, value)
        right = None if role is None else self.of(NAMES[role].split()[0])
        given = tuple(value) if isinstance(value, list) else value
        if role == PIXELS and isinstance(right, int) and isinstance(given, tuple):
            right = (right, right)
        if right in (None, given) or role is None or (role == TOKENS and given > right):
            return ""
        if role == PIXELS:
            height, width = right if isinstance(right, tuple) else (right, right)
            return f"images of {height} x {width} pixels"
        if role == INPUTS and given == self.sizes.get("input_shape")[-1]:  # a linear layer takes the last dimension
            return ""
        return _counted(right, role)

    def _contradicted_classes(self, role: str, given: Any) -> str:
        in_data = self.sizes.get("num_classes")
        if in_data is None:
            if role == CLASSES or (right := self._outputs()) in (None, given):
                return ""
            return _counted(right, LABELS if right == self.sizes.get("num_labels") else TARGETS)
        if role == OUTPUTS and self.num_classes in (None, in_data):
            sound = {1, 2} if in_data == 2 and self.one_value else {in_data}
            return "" if given in sound else _counted(in_data, CLASSES)
        # More classes than the data show are sound: a part of the data may lack some.
        return _counted(in_data, CLASSES) if role == CLASSES and given < in_data else ""

    def _classes(self) -> Any:
        return self.num_classes or self.sizes.get("num_classes")

    def _outputs(self) -> Any:
        classes = self._classes()
        if classes is None:
            return self.sizes.get("num_labels") or self.sizes.get("num_targets")
        return 1 if classes == 2 and self.one_value else classes


def _counted(number: int, what: str) -> str:
    singular = "class" if what == CLASSES else what.removesuffix("s")
    return f"{number} {singular if number == 1 else what}"


def _of_shape(role: str, name: str, shape: tuple[int, ...]) -> Any:
    if role == INPUTS:
        if name == "in_features":
            return math.prod(shape)
        # Of a sequence, recurrent networks call the number of values at a time `input_size`.
        return shape[-1] if len(shape) == 1 or (name == "input_size" and len(shape) == 2) else None
    if role == CHANNELS:
        return shape[0] if len(shape) in (3, 4) else None
    if len(shape) != 3:
        return None
    height, width = shape[1:]
    return height if height == width else (height, width)

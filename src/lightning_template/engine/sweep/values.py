"""Values of an option of a space: choices or a range. Imports no torch."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_GRID = 10_000
"""Largest number of points of a grid."""


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: Smallest number.
        high: Largest number.
        step: Distance of neighbours; None for all numbers, of whole ones 1.
        log: Whether the logarithm is uniform.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    def grid(self) -> list[Any] | None:
        """Return all numbers, None where they are not counted."""
        if self.log or (self.step is None and not self.is_whole):
            return None
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return None if count > MAX_GRID else [self.low + number * step for number in range(count)]


@dataclass(frozen=True)
class Parameter:
    """An option of the space.

    Attributes:
        name: The option, such as `model.optimizer.lr`.
        values: A range, or choices.
        when: Choices of other options of the space with which this one is searched; always if empty.
    """

    name: str
    values: Range | tuple[Any, ...]
    when: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> list[Any]:
        """Choices as Optuna keeps them: plain ones of one type as they are, others as texts."""
        assert not isinstance(self.values, Range)
        kinds = {type(value) for value in self.values}
        plain = len(kinds) == 1 and kinds <= {bool, int, float, str}
        return list(self.values) if plain else [label_of(value) for value in self.values]

    def value_of(self, label: Any) -> Any:
        """Return the value that Optuna keeps as `label`."""
        return label if isinstance(self.values, Range) else self.values[self.labels.index(label)]

    def label_of(self, value: Any) -> Any:
        """Return what Optuna keeps for a value."""
        if isinstance(self.values, Range):
            return value
        return self.labels[[label_of(other) for other in self.values].index(label_of(value))]

    def examples(self) -> list[Any]:
        """Return values that show whether all others are possible: the choices, or the ends of the range."""
        return [self.values.low, self.values.high] if isinstance(self.values, Range) else list(self.values)

    def is_searched(self, point: dict[str, Any]) -> bool:
        """Tell whether the option is searched at a point that holds the values of others."""
        return all(name in point and _is_among(point[name], values) for name, values in self.when.items())


def _is_among(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)


def label_of(value: Any) -> str:
    """Return a value as text, such as `[64, 64]`."""
    return value if isinstance(value, str) else json.dumps(value, default=str)

"""Samplers and pruners of Optuna by name, with arguments: `tpe`, `median:n_startup_trials=3,n_warmup_steps=2`."""

import inspect
from typing import Any

import optuna
import yaml

from lightning_template.engine.process.errors import nearest, one_line
from lightning_template.engine.process.slips import one_spelling

GRID = "grid"
"""Name of the sampler that visits all points in their order."""
_SHARED_SEED = ("QMCSampler",)
"""Samplers whose workers must have one seed: their points are one sequence."""


def classes(kind: str) -> dict[str, type]:
    """Return Optuna's samplers or pruners that need no objects made in Python, by short names.

    Args:
        kind: `Sampler` or `Pruner`.

    Example:
        >>> sorted(classes("Pruner"))
        ['hyperband', 'median', 'nop', 'patient', 'percentile', 'successivehalving', 'threshold', 'wilcoxon']
    """
    module: Any = optuna.samplers if kind == "Sampler" else optuna.pruners
    others = ("Base", "PartialFixed", "Grid")
    names = [name for name in module.__all__ if name.endswith(kind) and not name.startswith(others)]
    return {one_spelling(name.removesuffix(kind)): getattr(module, name) for name in names}


class Maker:
    """Makes a sampler or a pruner.

    Args:
        text: Name and arguments, such as `tpe:n_startup_trials=5`.
        kind: `Sampler` or `Pruner`.

    Raises:
        ValueError: If Optuna has none of this name, or it does not take the arguments.
    """

    def __init__(self, text: str, kind: str) -> None:
        name, _, arguments = text.partition(":")
        self.is_grid = kind == "Sampler" and name == GRID
        known = classes(kind)
        if one_spelling(name) not in known and not self.is_grid:
            names = [*known, GRID] if kind == "Sampler" else list(known)
            hint = nearest(one_spelling(name), names) or f": there are {', '.join(sorted(names))}"
            raise ValueError(f"no {kind.lower()} {name}{hint}")
        self._made: Any = optuna.samplers.RandomSampler if self.is_grid else known[one_spelling(name)]
        self._takes = inspect.signature(self._made).parameters
        self._arguments: dict[str, Any] = {"wrapped_pruner": None} if "wrapped_pruner" in self._takes else {}
        for entry in filter(None, arguments.split(",")):
            key, equals, value = entry.partition("=")
            if self.is_grid or not equals or key not in self._takes:
                hint = nearest(key, self._takes) or (f": write {key}=VALUE" if key in self._takes else "")
                raise ValueError(f"{kind.lower()} {name} does not take {entry}{hint}")
            self._arguments[key] = yaml.safe_load(value)
        self.make(0)

    def make(self, number: int) -> Any:
        """Return a new one.

        Args:
            number: Number of the trial to be sampled, so that workers do not draw the same numbers.

        Raises:
            ValueError: If it does not take the arguments.
        """
        arguments = dict(self._arguments)
        if "seed" in self._takes:
            shared = self._made.__name__ in _SHARED_SEED
            arguments["seed"] = arguments.get("seed", 0) + (0 if shared else 1000 * number)
        try:
            return self._made(**arguments)
        except (ImportError, TypeError, ValueError) as error:
            raise ValueError(f"{self._made.__name__}: {one_line(error)}") from error

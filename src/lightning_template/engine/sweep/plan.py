"""Plan of a study: what is searched, and by what it is judged. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lightning_template.engine.sweep.space import grid
from lightning_template.engine.sweep.values import MAX_GRID, Parameter, Range


class Objective(NamedTuple):
    """A logged quantity that is to be low (`min`) or high (`max`)."""

    name: str
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        name: Name of the study, and of the folder of its runs.
        root: Folder that holds `lightning_logs`.
        space: Options that are searched.
        objectives: What is optimised; the first one decides at which epoch all are taken.
        config: Options of the configuration and the command line, without those of the space.
        num_trials: Number of trials.
        seeds: Seeds of the runs of each trial.
        sampler: Name and arguments of the sampler.
        pruner: Name and arguments of the pruner; none if empty.
        keeps_pruned: Whether checkpoints of pruned trials stay.
    """

    name: str
    root: Path
    space: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]
    config: Mapping[str, Any]
    num_trials: int
    seeds: tuple[int, ...]
    sampler: str
    pruner: str = ""
    keeps_pruned: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the study's files and runs."""
        return self.root / "lightning_logs" / self.name

    def described(self) -> dict[str, Any]:
        """Return what must not change while a study goes on, as plain values."""
        space = {
            parameter.name: {
                "values": parameter.values._asdict() if isinstance(parameter.values, Range) else [*parameter.values],
                "when": {name: [*values] for name, values in parameter.when.items()},
            }
            for parameter in self.space
        }
        objectives = [list(objective) for objective in self.objectives]
        return {"space": space, "objectives": objectives, "seeds": [*self.seeds], "config": dict(self.config)}


def number_of_trials(space: Sequence[Parameter], given: int | None, sampler: str | None) -> tuple[int, str]:
    """Return how many trials a study has, and the name of its sampler.

    Args:
        space: The space.
        given: Number that was asked for.
        sampler: Sampler that was asked for.

    Raises:
        ValueError: If a number must be given, or the grid is not finite or too large.
    """
    if sampler is not None and sampler != "grid":
        if given is None:
            raise ValueError("give --trials N: samplers go on without end")
        return given, sampler
    points = grid(space)
    if points is None:
        if sampler == "grid" or given is None:
            ranges = [parameter.name for parameter in space if isinstance(parameter.values, Range)]
            hint = "choices or a step" if sampler else "--trials N, or choices or a step for a grid"
            raise ValueError(f"the space has ranges without end ({', '.join(ranges)}): give {hint}")
        return given, "tpe"
    if given is not None and sampler is None:
        return given, "tpe"
    count = sum(1 for _, _ in zip(points, range(MAX_GRID + 1), strict=False))
    if count > MAX_GRID:
        raise ValueError(f"the grid has more than {MAX_GRID} points: give --trials N, or fewer choices")
    return (count if given is None else min(given, count)), "grid"


def with_whole_numbers_as_floats(space: Sequence[Parameter], taken: Mapping[str, type]) -> tuple[Parameter, ...]:
    """Return a space in which ranges such as 0..1 of options that take floats are not of whole numbers alone.

    Args:
        space: The space.
        taken: Type of the value of each option as the configuration takes it.
    """

    def converted(parameter: Parameter) -> Parameter:
        values = parameter.values
        if not isinstance(values, Range) or not values.is_whole or taken.get(parameter.name) is not float:
            return parameter
        return replace(parameter, values=values._replace(low=float(values.low), high=float(values.high)))

    return tuple(map(converted, space))

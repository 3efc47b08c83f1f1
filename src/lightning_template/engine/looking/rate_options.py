"""Options that set a learning rate, as they are typed."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

PEAKS = (".max_lr",)
"""Ends of the options of schedules that set the rate, whatever the optimizer has."""
NAMES = ("lr", "learning_rate", "learningrate", "base_lr", "rate", "eta")


def rate_options(options: Mapping[str, Any], present: float, rate: float, groups: Any) -> list[str]:
    """Return the words of a command line that set a learning rate; none if no option does.

    Args:
        options: Present value of each option.
        present: Rate that the optimizer has.
        rate: Rate that it shall have.
        groups: The task's `optimizer_groups`, whose rates are changed in proportion; None if there are none.
    """
    names = _names(options, present)
    if not names:
        return []
    words = [f"--{names[0]}", f"{rate:.3g}"]
    scaled = scaled_groups(groups or {}, rate / present if present else 1.0)
    if scaled and names[0] == "model.optimizer.lr":  # a peak is given to each group in proportion to its rate
        words += ["--model.optimizer_groups", shlex.quote(json.dumps(scaled))]
    return words


def scaled_groups(groups: Mapping[str, Mapping[str, Any]], factor: float) -> dict[str, dict[str, Any]]:
    """Return groups with their rates multiplied; nothing if none sets a rate."""
    if not any("lr" in group for group in groups.values()):
        return {}
    return {
        pattern: {key: float(f"{value * factor:.3g}") if key == "lr" else value for key, value in group.items()}
        for pattern, group in groups.items()
    }


def _names(options: Mapping[str, Any], present: float) -> Sequence[str]:
    """Return the options that set the rate, the one that is meant first."""
    peaks = [
        name
        for name, value in options.items()
        if name.startswith("model.lr_scheduler") and name.endswith(PEAKS) and _number(value) is not None
    ]
    if peaks or "model.optimizer.lr" in options:
        return peaks or ["model.optimizer.lr"]
    same = [name for name, value in options.items() if name.startswith("model.") and _is_same(value, present)]
    return [name for name in same if name.rpartition(".")[2].lower() in NAMES] or (same if len(same) == 1 else [])


def _is_same(value: Any, present: float) -> bool:
    number = _number(value)
    return number is not None and math.isclose(number, present, rel_tol=1e-9)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""A run that is killed at a step of its optimizer."""

from typing import Any

from torch.optim.optimizer import register_optimizer_step_pre_hook


class KilledError(Exception):
    """What ends a run at a given step."""


def killed_at(step: int) -> Any:
    """Have the optimizer's step of a number fail; what is returned has `remove`."""
    number = 0

    def count(*_: Any) -> None:
        nonlocal number
        number += 1
        if number == step:
            raise KilledError

    return register_optimizer_step_pre_hook(count)

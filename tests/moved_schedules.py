"""Learning rates of optimizers and schedules that are moved as Lightning would."""

from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau


def rates(optimizers: list[Any], configs: list[Any], epochs: int, steps: int) -> list[float]:
    """Return the rate of the first group of the only optimizer at each step.

    Args:
        optimizers: The optimizer.
        configs: Its schedules, each with `scheduler` and `interval`.
        epochs: Number of epochs.
        steps: Number of steps in an epoch.
    """
    (optimizer,) = optimizers
    found = []
    for step in range(1, epochs * steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for config in configs:
            if config["interval"] == "step" or step % steps == 0:
                is_plateau = isinstance(config["scheduler"], ReduceLROnPlateau)
                config["scheduler"].step(*([1.0] if is_plateau else []))
    return found

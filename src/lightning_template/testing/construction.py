"""Tasks made whole, and constructed again from the arguments that they saved."""

import copy
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule

from lightning_template.engine.libraries.lightning_trainer import pop_instantiator
from lightning_template.engine.tasks import constructor_arguments
from lightning_template.testing.exceptions import CheckSkipped
from lightning_template.testing.isolation import seed_all


def copy_of(make: Callable[[int], LightningModule], made: dict[Any, Any], seed: int) -> LightningModule:
    """Return a copy of the task that a function makes of a seed, with the random numbers that follow.

    Args:
        make: The function.
        made: What it made before, by seeds, which stays as it is.
        seed: The seed.
    """
    if seed not in made:
        made[seed] = make(seed), torch.get_rng_state()
    task, numbers = made[seed]
    try:
        copied: LightningModule = copy.deepcopy(task)
    except Exception:  # something that it holds has no copy
        return make(seed)
    seed_all(seed)
    torch.set_rng_state(numbers)
    return copied


def configured(task: LightningModule) -> LightningModule:
    """Return a task that has made the layers of `configure_model`, which makes them once."""
    task.configure_model()
    return task


def construct_again(task: LightningModule) -> LightningModule:
    """Return a task constructed with the saved arguments of another.

    Raises:
        CheckSkipped: If it saved none.
    """
    hparams = copy.deepcopy(constructor_arguments(task))
    if not hparams:
        raise CheckSkipped("the task saves no hyper-parameters from which it can be made again")
    instantiator = pop_instantiator(hparams)
    if instantiator is None:
        parameters = inspect.signature(type(task).__init__).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            hparams = {name: value for name, value in hparams.items() if name in parameters}  # as Lightning does
        return type(task)(**hparams)
    made: LightningModule = pkgutil.resolve_name(instantiator)(type(task), hparams)
    return made

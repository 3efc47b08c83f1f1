"""Tasks constructed again from the arguments that they saved."""

import copy
import inspect
import pkgutil

from lightning.pytorch import LightningModule

from lightning_template.engine.libraries.lightning_trainer import pop_instantiator
from lightning_template.engine.tasks import constructor_arguments
from lightning_template.testing.exceptions import CheckSkipped


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

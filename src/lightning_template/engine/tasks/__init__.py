"""Parts of a task that users need not read: its base class, factories of optimizers, hyper-parameters."""

from lightning_template.engine.tasks.factories import check_factories
from lightning_template.engine.tasks.hyper_parameters import constructor_arguments, save_plain_hyperparameters
from lightning_template.engine.tasks.module import TaskModule
from lightning_template.engine.tasks.saved_arguments import SavedArguments
from lightning_template.engine.tasks.warmup import Warmup

__all__ = [
    "SavedArguments",
    "TaskModule",
    "Warmup",
    "check_factories",
    "constructor_arguments",
    "save_plain_hyperparameters",
]

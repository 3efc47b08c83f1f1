"""Parts of a task that users need not read: factories of optimizers, hyper-parameters, completed hooks."""

from lightning_template.engine.tasks.factories import build_lr_scheduler, build_optimizer, check_factory
from lightning_template.engine.tasks.hooks import complete_hooks
from lightning_template.engine.tasks.hyper_parameters import constructor_frame, plain_values

__all__ = [
    "build_lr_scheduler",
    "build_optimizer",
    "check_factory",
    "complete_hooks",
    "constructor_frame",
    "plain_values",
]

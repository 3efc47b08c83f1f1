"""The parser of configurations, also of the classes that they name."""

import inspect
from typing import Any, Literal

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_template.engine.libraries.jsonargparse_private import SignatureParser, accept_functions
from lightning_template.engine.tasks.schedules import COUNTS, is_filled, is_schedule, parameters_of

accept_functions()


class TemplateParser(SignatureParser):
    """Parser of the command line and of configuration files; the classes in them are parsed by others of this class."""

    def add_class_arguments(self, class_type: Any, *args: Any, skip: Any = None, **kwargs: Any) -> list[str]:
        """Add the arguments of a class; an optimizer, which its maker gives, may be at any place."""
        if is_schedule(class_type) and "optimizer" in parameters_of(class_type):
            skip = {"optimizer", *(name for name in skip or () if isinstance(name, str))}
        added: list[str] = super().add_class_arguments(class_type, *args, skip=skip, **kwargs)
        return added

    def understood(self, owner: object, name: str, kind: Any, default: Any) -> tuple[Any, Any]:
        """Return type and default of a parameter; lengths of a schedule may be shares of the run, or not given."""
        if not is_schedule(owner):  # jsonargparse would not miss what has no type
            is_missed = inspect.isroutine(owner) and kind is default is inspect.Parameter.empty
            return (Any if is_missed else kind), default
        if name == "schedulers":
            return list[LRSchedulerCallable], default
        if name == "milestones":
            return list[int | float], default
        if name == "mode" and isinstance(owner, type) and issubclass(owner, ReduceLROnPlateau):
            return Literal["min", "max"] | None, None
        if name in COUNTS and kind in (int, int | None, inspect.Parameter.empty):
            filled = is_filled(owner, parameters_of(owner)[name])
            return (int | float | None, None) if filled or default is None else (int | float, default)
        return kind, default

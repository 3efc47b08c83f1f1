"""The parser of configurations, also of the classes that they name."""

import inspect
import pkgutil
from functools import cache
from typing import Any, Literal, NamedTuple, get_type_hints

from lightning.pytorch.cli import LRSchedulerCallable
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_template.engine.libraries.jsonargparse_private import SignatureParser, accept_functions
from lightning_template.engine.sizes import ROLES
from lightning_template.engine.tasks.schedules import COUNTS, is_filled, is_schedule, parameters_of

accept_functions()


class TemplateParser(SignatureParser):
    """Parser of the command line and of configuration files; the classes in them are parsed by others of this class.

    Tasks and networks need not be given sizes, which `fill_sizes` takes from the data.
    """

    def may_be_left_out(self, owner: object, name: str, kind: object) -> bool:
        """Tell whether a required parameter may be a size: a whole number of a module, or one of a known name."""
        return name in ROLES or kind is int if makes_module(owner) else name in ROLES and makes_anything(owner)

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
        parameter = parameters_of(owner).get(name)
        if name in COUNTS and parameter and kind in (int, int | None, inspect.Parameter.empty):
            filled = is_filled(parameter)
            return (int | float | None, None) if filled or default is None else (int | float, default)
        return kind, default


class Signature(NamedTuple):
    """Parameters of a class or function.

    Attributes:
        left_out: Types of the required ones that need not be given, by name.
        defaults: Values of those that are not given, by name; None for required ones.
    """

    left_out: dict[str, Any]
    defaults: dict[str, Any]


@cache
def signature(class_path: str) -> Signature:
    """Return the parameters of what a configuration names."""
    target = pkgutil.resolve_name(class_path)
    parser = TemplateParser()
    add = parser.add_class_arguments if isinstance(target, type) else parser.add_function_arguments
    add(target, fail_untyped=False)
    return Signature(parser.left_out, parser.get_defaults().as_dict())


def makes_module(maker: object) -> bool:
    """Tell whether a class makes a module of torch, or a function that says so."""
    made = maker if isinstance(maker, type) else _returned(maker)
    return isinstance(made, type) and issubclass(made, nn.Module)


def makes_anything(maker: object) -> bool:
    """Tell whether a function does not say what it makes."""
    return inspect.isroutine(maker) and _returned(maker) is None


def _returned(function: Any) -> Any:
    try:
        return get_type_hints(function).get("return") if inspect.isroutine(function) else None
    except Exception:  # of an annotation that cannot be evaluated
        return None

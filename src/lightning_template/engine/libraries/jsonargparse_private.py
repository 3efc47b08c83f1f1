"""Private parts of jsonargparse. tests/engine/libraries holds what is assumed of the installed version."""

import dataclasses
import inspect
from typing import Any
from urllib.error import URLError

from jsonargparse import Namespace, _typehints
from jsonargparse._util import import_object
from lightning.pytorch.cli import LightningArgumentParser

TYPEHINTS: Any = _typehints  # it is not typed
FROM_JSONARGPARSE = {
    name: getattr(TYPEHINTS, name)
    for name in (
        "adapt_class_type",
        "adapt_partial_callable_class",
        "function_returns_subclass",
        "is_subclass_or_implements_protocol",
        "subclass_spec_as_namespace",
    )
}
"""Functions of jsonargparse that `accept_functions` replaces."""


class SignatureParser(LightningArgumentParser):
    """Parser that lets some required parameters of classes and functions be left out; their value is then None.

    jsonargparse makes the parser of each class in a configuration from the class of the parser around it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left_out: dict[str, Any] = {}
        """These parameters: their types, as they are annotated, by name."""

    def may_be_left_out(self, owner: object, name: str, kind: object) -> bool:
        """Tell whether a required parameter may have no value.

        Args:
            owner: Class or function that takes it.
            name: Its name.
            kind: Its type, as it is annotated.
        """
        return False

    def understood(self, owner: object, name: str, kind: Any, default: Any) -> tuple[Any, Any]:
        """Return type and default of a parameter as the parser takes them.

        Args:
            owner: Class or function that takes it.
            name: Its name.
            kind: Its type, as it is annotated.
            default: Its default; `inspect.Parameter.empty` if it is required.
        """
        return kind, default

    def _add_signature_parameter(
        self, container: Any, nested_key: str | None, param: Any, added_args: list[str], *args: Any, **kwargs: Any
    ) -> None:
        owner = param.parent if isinstance(param.parent, type) else param.component
        kind, default = self.understood(owner, param.name, param.annotation, param.default)
        param = dataclasses.replace(param, annotation=kind, default=default)
        is_required = param.default is inspect.Parameter.empty and "default" not in kwargs
        if is_required and self.may_be_left_out(owner, param.name, param.annotation):
            kwargs["default"] = None
            self.left_out[param.name] = param.annotation
        super()._add_signature_parameter(container, nested_key, param, added_args, *args, **kwargs)


def accept_functions() -> None:
    """Let a function stand wherever a class may, with `init_args` and without an annotation of what it returns.

    jsonargparse takes a function only if it is annotated. Where a function that makes an object is asked for, it takes
    no `init_args` for it. Nothing public changes that.
    """
    for replacement in (
        adapt_class_type,
        adapt_partial_callable_class,
        function_returns_subclass,
        is_subclass_or_implements_protocol,
        subclass_spec_as_namespace,
    ):
        setattr(TYPEHINTS, replacement.__name__, replacement)


def is_subclass_or_implements_protocol(value: Any, class_type: Any) -> bool:
    """Tell whether a class, or what a function returns, is of a type; what is not annotated may be."""
    return _is_open(value) or FROM_JSONARGPARSE["is_subclass_or_implements_protocol"](value, class_type)


def function_returns_subclass(function: Any, subclass_types: Any, logger: Any) -> bool:
    """Tell whether a function returns one of some types; one that is not annotated may."""
    return _is_open(_returned(function)) or FROM_JSONARGPARSE["function_returns_subclass"](
        function, subclass_types, logger
    )


def subclass_spec_as_namespace(val: Any, prev_val: Any = None) -> Any:
    """Return a class or function with arguments, of which one may be given after it, as on the command line."""
    if inspect.isroutine(prev_val):
        prev_val = _namespace({"class_path": TYPEHINTS.get_import_path(prev_val)})
    return FROM_JSONARGPARSE["subclass_spec_as_namespace"](val, prev_val)


def adapt_partial_callable_class(callable_type: Any, subclass_spec: Any) -> Any:
    """Return a class or function with arguments, and which of its arguments the caller gives, if it is to be called."""
    spec, skipped = FROM_JSONARGPARSE["adapt_partial_callable_class"](callable_type, subclass_spec)
    types = TYPEHINTS.get_subclass_types(TYPEHINTS.get_callable_return_type(callable_type))
    if skipped is None and types and "." in spec.class_path:
        function = import_object(spec.class_path)
        if inspect.isroutine(function):
            if not function_returns_subclass(function, types, None):
                kind = " or ".join(kind.__name__ for kind in types)
                raise ImportError(f"Expected '{spec.class_path}' to be a function that returns {kind}")
            skipped = {len(callable_type.__args__) - 1}
    return spec, skipped


def adapt_class_type(value: Any, serialize: bool, instantiate_classes: bool, sub_add_kwargs: Any, **kwargs: Any) -> Any:
    """Check, make or write a class or function with arguments; those of a function's `**kwargs` may be any."""
    target = import_object(value["class_path"])
    arguments = value.get("init_args")
    if inspect.isroutine(target) and isinstance(arguments, dict | Namespace):
        skipped = kwargs.get("partial_skip_args")
        parser = TYPEHINTS.ActionTypeHint.get_class_parser(target, sub_add_kwargs, skip_args=skipped)
        known = {key.split(".")[0] for key in vars(parser.get_defaults())}
        given = arguments.as_dict() if isinstance(arguments, Namespace) else arguments
        others = {name: item for name, item in given.items() if name not in known}
        if others and _takes_any_keyword(target, known):
            value = _namespace(value)
            value["init_args"] = _namespace({name: item for name, item in given.items() if name in known})
            value["dict_kwargs"] = {**(value.get("dict_kwargs") or {}), **others}
    try:
        return FROM_JSONARGPARSE["adapt_class_type"](value, serialize, instantiate_classes, sub_add_kwargs, **kwargs)
    except URLError as error:  # of a function that downloads weights
        path = value["class_path"]
        raise ValueError(f"{path} could not download: {error.reason}; is there a network connection?") from error


def _namespace(values: Any) -> Any:
    made: Any = Namespace
    return values.clone() if isinstance(values, Namespace) else made(values)


def _takes_any_keyword(function: Any, known: set[str]) -> bool:
    """Tell whether a function has `**kwargs`, and jsonargparse could not find out which they are."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    has_others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return has_others and known <= parameters.keys()


def _returned(function: Any) -> Any:
    try:
        return inspect.signature(function).return_annotation
    except (TypeError, ValueError):
        return None


def _is_open(kind: Any) -> bool:
    return kind is inspect.Signature.empty or kind is Any or kind == "Any"

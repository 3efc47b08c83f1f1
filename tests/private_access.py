"""Finds where a file uses, or overrides, private parts of other libraries."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lightning.pytorch  # noqa: F401  # when tests are collected: it changes the process

BY_NAME = {"getattr", "setattr", "hasattr", "delattr", "pop", "get"}
"""Calls that take a name as a string."""
PUBLIC = {"_exit", "_asdict", "_fields", "_replace"}
"""Names of the standard library, of `os` and named tuples, that are documented in spite of their underscore."""
OWN = "lightning_template"


def private_accesses(path: Path, module: str) -> list[str]:
    """Return the private names that a file uses and that no class of this package defines.

    Args:
        path: File with the source.
        module: Name under which it can be imported; its classes tell what `self` inherits.
    """
    tree = ast.parse(path.read_text())
    found = [name for node in ast.walk(tree) for name in _of_any(node)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += _of_class(node, getattr(importlib.import_module(module), node.name))
        else:
            found += [ast.unparse(part) for part in ast.walk(node) if _is_private(part) and _is_of_self(part)]
    return sorted({*found})


def _of_any(node: ast.AST) -> Iterator[str]:
    """Yield what a node uses, unless it is of `self`."""
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{a.name}" for a in node.names if _hides(f"{node.module}.{a.name}"))
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if _hides(alias.name))
    elif (_is_private(node) and not _is_of_self(node)) or (
        isinstance(node, ast.Subscript) and _names_private(node.slice)
    ):
        yield ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
        yield from (ast.unparse(node) for argument in node.args if _names_private(argument))


def _of_class(node: ast.ClassDef, cls: type) -> Iterator[str]:
    """Yield what a class uses of itself and its bases though none of this package defines it, or another does too."""
    own = {name for base in cls.__mro__ if base.__module__.startswith(OWN) for name in _defined(_tree(base))}
    foreign = " ".join(_text(base.__module__) for base in cls.__mro__ if _is_foreign(base))
    words = set("".join(c if c.isalnum() or c == "_" else " " for c in foreign).split())
    names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute) and _is_of_self(part)}
    for name in names | _defined(node):
        if _hides(name) and (name not in own or name in words):
            yield f"{node.name}.{name}"


def _hides(name: str) -> bool:
    hidden = [part for part in name.split(".") if part.startswith("_") and not part.startswith("__")]
    return not PUBLIC.union("_").issuperset(hidden)


def _names_private(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _hides(node.value.partition(".")[0])


def _is_private(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and _hides(node.attr)


def _is_of_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls", "super()")


def _is_foreign(cls: type) -> bool:
    return not cls.__module__.startswith(OWN) and cls.__module__.partition(".")[0] not in sys.stdlib_module_names


def _defined(node: ast.AST) -> set[str]:
    """Return the names of a class's methods and attributes."""
    names = {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}
    stored = [part for part in ast.walk(node) if isinstance(getattr(part, "ctx", None), ast.Store)]
    names |= {part.attr for part in stored if isinstance(part, ast.Attribute) and _is_of_self(part)}
    return names | {part.id for part in stored if isinstance(part, ast.Name)}


@cache
def _text(module: str) -> str:
    try:
        return inspect.getsource(importlib.import_module(module))
    except OSError:  # the module is compiled
        return ""


@cache
def _tree(cls: type) -> ast.AST:
    home = cls.__module__
    if home == "lightning_template.callbacks":  # where configurations name it; its methods tell where it is written
        home = next(part.__module__ for part in vars(cls).values() if inspect.isfunction(part))
    found = [node for node in ast.walk(ast.parse(_text(home))) if isinstance(node, ast.ClassDef)]
    return next(node for node in found if node.name == cls.__name__)

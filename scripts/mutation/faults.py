"""Faults that could be made in a Python source: the places, found in its syntax tree, and the wrong text for each.

The kinds resemble mistakes that people make: a boundary, a condition, an operator, an order, a forgotten call.
Left out are texts for people (docstrings, messages, logs), annotations, asserts, and looks (colours, sizes), and what
mostly changes nothing (`strict=True`, `encoding=`).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .wrong_texts import MESSAGES, QUIET, SEEDERS, name_of, wrong_parts, wrong_texts


@dataclass(frozen=True)
class Fault:
    """One wrong text in place of a right one.

    Attributes:
        path: File, relative to the project.
        place: Dotted name of the function or class around it, empty at the module's level.
        lines: First and last line of the statement; tests that execute one of them may see the fault.
        start: Position of the right text, in characters.
        end: Position behind it.
        kind: What a person would call the mistake.
        right: The text as it is.
        wrong: The text put in its place.
    """

    path: str
    place: str
    lines: tuple[int, int]
    start: int
    end: int
    kind: str
    right: str
    wrong: str

    def apply(self, source: str) -> str:
        """Return the source with the fault in it."""
        return source[: self.start] + self.wrong + source[self.end :]


def faults_of(path: str, source: str) -> list[Fault]:
    """Return all faults known for a Python source."""
    return list(_Finder(path, source).visit(ast.parse(source), (0, 0), ""))


class _Finder:
    def __init__(self, path: str, source: str) -> None:
        self.path, self.source = path, source
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def position(self, line: int, column: int) -> int:
        """Return the position in characters; the tree counts columns in bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def visit(self, node: ast.AST, span: tuple[int, int], place: str) -> Iterator[Fault]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = f"{place}.{node.name}".lstrip(".")
        if isinstance(node, ast.stmt):
            span = _span(node)
        if isinstance(node, ast.stmt | ast.expr | ast.ExceptHandler):
            start = self.position(node.lineno, node.col_offset)
            end = self.position(node.end_lineno or 0, node.end_col_offset or 0)
            right = self.source[start:end]
            for kind, wrong in wrong_texts(node):
                yield Fault(self.path, place, span, start, end, kind, right, wrong)
            for part, kind, wrong in wrong_parts(node):
                first = self.position(part.lineno, part.col_offset)
                last = self.position(part.end_lineno or 0, part.end_col_offset or 0)
                if kind == "a decorator is forgotten":
                    first -= 1  # the @
                yield Fault(self.path, place, span, first, last, kind, self.source[first:last], wrong)
        for child in _children(node):
            yield from self.visit(child, span, place)


def _span(node: ast.stmt) -> tuple[int, int]:
    """Return first and last line of a statement, without the statements in it."""
    body = getattr(node, "body", None)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):  # its own lines run at import
        return node.body[0].lineno, node.end_lineno or 0
    if isinstance(node, ast.Match):
        return node.lineno, node.lineno
    if body and not isinstance(node, ast.ClassDef):
        return node.lineno, max(node.lineno, body[0].lineno - 1)
    return node.lineno, node.end_lineno or 0


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below that faults are looked for in."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.MatchValue):
        return
    if isinstance(node, ast.FunctionDef) and node.name in {"__repr__", "__str__"}:
        return
    if isinstance(node, ast.Call) and name_of(node) in MESSAGES:
        return
    if isinstance(node, ast.Call) and name_of(node) in SEEDERS and all(isinstance(a, ast.Constant) for a in node.args):
        return  # one fixed seed serves as well as another
    if isinstance(node, ast.If) and name_of(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Assign) and name_of(node.targets[0]) in {"__all__", "__version__"}:
        return
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_params", "bases", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            is_quiet = isinstance(child, ast.keyword) and child.arg in QUIET
            if isinstance(child, ast.AST) and not is_docstring and not is_quiet:
                yield child

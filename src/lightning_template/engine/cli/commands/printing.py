"""Prints what lies in files of runs, which may hold anything: nothing of it steers a terminal. Imports no torch."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_template.engine.process.errors import printable
from lightning_template.engine.process.tables import table_text


def value_text(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(_jsonable(value))


def _jsonable(value: Any) -> Any:
    """Return a value of a YAML or JSON file as strict JSON has it: no NaN, no dates, texts as keys."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_jsonable(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def print_json(value: Any) -> None:
    """Print a value as JSON, which has all characters escaped."""
    print_lines(json.dumps(_jsonable(value), indent=2))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, in columns as wide as their widest cell."""
    print_lines(table_text([[printable(text) for text in row] for row in rows]).rstrip("\n"))


def print_lines(text: str) -> None:
    """Print lines; what files have put into them steers no terminal."""
    sys.stdout.write(printable(text, keep="\n") + "\n")

"""Classes in a column of a table."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightning_template.engine.files.table_cells import is_numeric, is_text
from lightning_template.engine.files.table_file import TableFile

if TYPE_CHECKING:
    import pyarrow as pa

_logger = logging.getLogger(__name__)

MAX_NUMBERED_CLASSES = 1000
"""Number of classes that are numbers above which they are taken for quantities."""


def classes_of(file: TableFile, name: str) -> list[str]:
    """Return the different values of a column in their order, whole numbers by size and text by alphabet.

    Raises:
        ValueError: If there is no such column, or it does not hold classes.
    """
    values = _labels(file, name).unique().to_pylist()
    numbers = Counter(value.casefold() for value in values)
    if alike := [value for value in values if numbers[value.casefold()] > 1]:
        what = "%s, column %r: classes that differ by capitals alone are different classes: %s"
        _logger.warning(what, file.path, name, ", ".join(map(repr, sorted(alike)[:5])))
    try:
        return sorted(values, key=int)
    except ValueError:
        return sorted(values)


def class_indices(file: TableFile, name: str, classes: Sequence[str]) -> np.ndarray:
    """Return for each row which of `classes` a column names, int64 `(num_rows,)`.

    Raises:
        ValueError: If it names another one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    indices = pc.index_in(_labels(file, name), value_set=pa.array(classes, pa.string()))
    if indices.null_count:
        row = indices.is_null().index(True).as_py()
        raise file.error(name, row, f"is of a class that the training set lacks; it has {', '.join(classes)}")
    return np.array(indices, np.int64)


def _labels(file: TableFile, name: str) -> pa.ChunkedArray:
    """Return a column as text, without empty cells."""
    import pyarrow as pa

    column = file.column(name)
    if pa.types.is_floating(column.type):
        values = file.numbers([name])[:, 0]
        if len(fractions := np.flatnonzero(values % 1)):
            hint = "must hold a class, which is text or a whole number (`task: regression` takes others)"
            raise file.error(name, int(fractions[0]), hint)
    elif not (is_numeric(column.type) or is_text(column.type)):
        raise ValueError(f"{file.path}, column {name!r}: classes must be text or whole numbers, got {column.type}")
    if is_numeric(column.type) and (number := len(column.unique())) > MAX_NUMBERED_CLASSES:
        raise ValueError(
            f"{file.path}, column {name!r}: {number} different numbers are more than {MAX_NUMBERED_CLASSES} "
            "classes: give `task: regression` if they are quantities"
        )
    return file.texts(name)

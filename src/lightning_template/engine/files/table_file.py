"""Tables in CSV, TSV and Parquet files, with errors that name the cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_template.engine.files.data_files import check_regular, not_found
from lightning_template.engine.files.table_reading import (
    DELIMITERS,
    count,
    is_number,
    is_numeric,
    is_text,
    numbered_rows,
    read_table,
)

if TYPE_CHECKING:
    import pyarrow as pa

MAX_NUMBERED_CLASSES = 1000
"""Number of classes that are numbers above which they are taken for quantities."""

MIN_COUNTED_ROWS = 4
"""Number of rows from which on numbers that count them are no coincidence."""

_INDEX_NAME = r"|Unnamed: 0(\.\d+)*|__index_level_\d+__"  # pandas has the others for an index without a name


class TableFile:
    """A table of named columns.

    Args:
        path: File that ends in `.csv`, `.tsv` or `.parquet`; the first line of the first two names the columns.

    Raises:
        ValueError: If there is no such file, or no table with names and rows in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.suffix not in {*DELIMITERS, ".parquet"}:
            raise ValueError(f"a table's name must end in .csv, .tsv or .parquet, got {path}")
        check_regular(path)
        try:
            self.table = read_table(path)
        except (ValueError, OSError) as error:  # pyarrow's own are of these kinds
            raise ValueError(f"{path} cannot be read as a table: {error}") from error
        names = self.names
        if len(names) == 1 and ";" in names[0]:
            raise ValueError(f"{path}: columns must be separated by commas or tabs, got {names[0]!r}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{path} has more than one column of the name {twice[0]!r}")
        if path.suffix in DELIMITERS and all(is_number(names).to_pylist()):
            raise ValueError(f"the first line of {path} must name the columns, got {', '.join(names)}")
        if not len(self.table):
            raise ValueError(f"{path} has no rows")

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        names: list[str] = self.table.column_names
        return names

    def is_index(self, name: str) -> bool:
        """Tell whether a column is an index, by its name or as its whole numbers count the rows from 0 or 1."""
        import pyarrow as pa

        if re.fullmatch(_INDEX_NAME, name):
            return True
        column = self._column(name)
        if not pa.types.is_integer(column.type) or column.null_count or len(column) < MIN_COUNTED_ROWS:
            return False
        values = column.to_numpy()
        return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())

    def numbers_among(self, names: Sequence[str]) -> list[str]:
        """Return those of some columns that hold numbers.

        Raises:
            ValueError: If a column holds mostly numbers, but text too.
        """
        found = []
        for name in names:
            column = self._column(name)
            if is_numeric(column.type):
                found.append(name)
            elif is_text(column.type) and 2 * count(is_number(column)) > len(column):
                raise self._no_number(name, column)
        return found

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Return columns of numbers.

        Returns:
            Finite numbers `(num_rows, num_columns)`, float64.

        Raises:
            ValueError: If there is no such column, or a cell does not hold a finite number.
        """
        values = np.empty((len(self.table), len(names)))
        for position, name in enumerate(names):
            column = self._column(name)
            if is_text(column.type):
                raise self._no_number(name, column)
            if not is_numeric(column.type):
                raise ValueError(f"{self.path}, column {name!r}: must hold numbers, got {column.type}")
            values[:, position] = column.cast("float64", safe=False).to_numpy()  # empty cells become NaN
            if len(bad := np.flatnonzero(~np.isfinite(values[:, position]))):
                raise self._error(name, int(bad[0]), "must hold a finite number")
        return values

    def classes(self, name: str) -> list[str]:
        """Return the different values of a column in their order, whole numbers by size and text by alphabet.

        Raises:
            ValueError: If there is no such column, or it does not hold classes.
        """
        values = self._labels(name).unique().to_pylist()
        try:
            return sorted(values, key=int)
        except ValueError:
            return sorted(values)

    def class_indices(self, name: str, classes: Sequence[str]) -> np.ndarray:
        """Return for each row which of `classes` a column names, int64 `(num_rows,)`.

        Raises:
            ValueError: If it names another one.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        labels = self._labels(name)
        indices = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
        if indices.null_count:
            row = indices.is_null().index(True).as_py()
            raise self._error(name, row, f"is of a class that the training set lacks; it has {', '.join(classes)}")
        return np.array(indices, np.int64)

    def _labels(self, name: str) -> pa.ChunkedArray:
        """Return a column as text, without empty cells."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(name)
        if pa.types.is_floating(column.type):
            values = self.numbers([name])[:, 0]
            if len(fractions := np.flatnonzero(values % 1)):
                hint = "must hold a class, which is text or a whole number (`task: regression` takes others)"
                raise self._error(name, int(fractions[0]), hint)
            column = column.cast("int64")
        elif not (is_numeric(column.type) or is_text(column.type)):
            raise ValueError(f"{self.path}, column {name!r}: classes must be text or whole numbers, got {column.type}")
        if is_numeric(column.type) and (number := len(column.unique())) > MAX_NUMBERED_CLASSES:
            raise ValueError(
                f"{self.path}, column {name!r}: {number} different numbers are more than {MAX_NUMBERED_CLASSES} "
                "classes: give `task: regression` if they are quantities"
            )
        labels = pc.utf8_trim_whitespace(column.cast("string"))
        empty = pc.equal(pc.fill_null(labels, ""), "")
        if (row := empty.index(True).as_py()) >= 0:
            raise self._error(name, row, "must name a class")
        return labels

    def _column(self, name: str) -> pa.ChunkedArray:
        import pyarrow as pa

        if name not in self.names:
            raise not_found(self.path, "column", name, self.names)
        column = self.table[name]
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

    def _no_number(self, name: str, column: pa.ChunkedArray) -> ValueError:
        row = is_number(column).index(False).as_py()
        return self._error(name, max(row, 0), "must hold a number, or the column be left out of `inputs`")

    def _error(self, name: str, row: int, what: str) -> ValueError:
        """Return the error of a cell, named as an editor counts: the first line is 1."""
        position = self.names.index(name)
        if self.path.suffix == ".parquet":
            where, value = f"row {row + 1}", self.table[position][row].as_py()
        else:
            line, cells = next(islice(numbered_rows(self.path), row + 1, None))
            where, value = f"line {line}", cells[position]
        return ValueError(f"{self.path}, {where}, column {name!r}: {what}, got {value!r}")

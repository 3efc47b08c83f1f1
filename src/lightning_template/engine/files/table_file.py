"""Tables in CSV, TSV and Parquet files, and where in them a mistake is."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_template.engine.files.data_files import check_regular, not_found

if TYPE_CHECKING:
    import pyarrow as pa

MAX_NUMBERED_CLASSES = 1000
"""Number of classes that are numbers above which they are taken for quantities."""

MIN_COUNTED_ROWS = 4
"""Number of rows from which on numbers that count them are no coincidence."""

_INDEX_NAME = r"|Unnamed: 0(\.\d+)*|__index_level_\d+__"  # pandas has the others for an index without a name
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


class TableFile:
    """A table of named columns.

    Args:
        path: File that ends in `.csv`, `.tsv` or `.parquet`; the first line of the first two names the columns.

    Raises:
        ValueError: If there is no such file, or no table with names and rows in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.suffix not in {*_DELIMITERS, ".parquet"}:
            raise ValueError(f"a table's name must end in .csv, .tsv or .parquet, got {path}")
        check_regular(path)
        try:
            self.table = _read(path)
        except (ValueError, OSError) as error:  # pyarrow's own are of these kinds
            raise ValueError(f"{path} cannot be read as a table: {error}") from error
        names = self.names
        if len(names) == 1 and ";" in names[0]:
            raise ValueError(f"{path}: columns must be separated by commas or tabs, got {names[0]!r}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{path} has more than one column of the name {twice[0]!r}")
        if path.suffix in _DELIMITERS and all(_is_number(names).to_pylist()):
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
            if _is_numeric(column.type):
                found.append(name)
            elif _is_text(column.type) and 2 * _count(_is_number(column)) > len(column):
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
            if _is_text(column.type):
                raise self._no_number(name, column)
            if not _is_numeric(column.type):
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
        elif not (_is_numeric(column.type) or _is_text(column.type)):
            raise ValueError(f"{self.path}, column {name!r}: classes must be text or whole numbers, got {column.type}")
        if _is_numeric(column.type) and (number := len(column.unique())) > MAX_NUMBERED_CLASSES:
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
        row = _is_number(column).index(False).as_py()
        return self._error(name, max(row, 0), "must hold a number, or the column be left out of `inputs`")

    def _error(self, name: str, row: int, what: str) -> ValueError:
        """Return the error of a cell, named as an editor counts: the first line is 1."""
        position = self.names.index(name)
        if self.path.suffix == ".parquet":
            where, value = f"row {row + 1}", self.table[position][row].as_py()
        else:
            line, cells = next(islice(_lines(self.path), row + 1, None))
            where, value = f"line {line}", cells[position]
        return ValueError(f"{self.path}, {where}, column {name!r}: {what}, got {value!r}")


def _read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path, partitioning=None, page_checksum_verification=True)
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(use_threads=False),  # which names the row of a mistake
        parse_options=arrow_csv.ParseOptions(delimiter=_DELIMITERS[path.suffix], newlines_in_values=True),
    )
    if not_text := [field.name for field in table.schema if pa.types.is_binary(field.type)]:
        raise ValueError(f"column {not_text[0]!r} must be text in UTF-8")
    return table.rename_columns([name.strip() for name in table.column_names])


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, and the number of the line where it starts."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=_DELIMITERS[path.suffix])
        before = reader.line_num
        for cells in reader:
            if cells:
                yield before + 1, cells
            before = reader.line_num


def _is_numeric(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_one_of = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(is_one(kind) for is_one in is_one_of)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(texts: Sequence[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each text whether it is a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts], pa.string())
    return pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)


def _count(flags: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return pc.sum(flags).as_py() or 0

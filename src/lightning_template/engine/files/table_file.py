"""Tables in text and Parquet files, with errors that name the cell."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_template.engine.files.data_files import check_regular, not_found
from lightning_template.engine.files.table_cells import (
    SIGNS,
    Form,
    as_numbers,
    count,
    form_of,
    has_form,
    is_missing,
    is_number,
    is_text,
    known_texts,
    stands_for_nothing,
)
from lightning_template.engine.files.table_dates import fitting_formats
from lightning_template.engine.files.table_reading import read_table
from lightning_template.engine.files.table_text import is_text_table, numbered_rows

if TYPE_CHECKING:
    import pyarrow as pa

MIN_COUNTED_ROWS = 4
"""Number of rows from which on numbers that count them are no coincidence."""

_logger = logging.getLogger(__name__)

_INDEX_NAME = r"|Unnamed: 0(\.\d+)*|__index_level_\d+__"  # pandas has the others for an index without a name


class TableFile:
    """A table of named columns.

    Args:
        path: File that ends in `.csv`, `.tsv` or `.txt`, or in one of these and `.gz`, whose first line names the
            columns; or in `.parquet`.
        forms: How columns write numbers and dates, by their names, where another table says it.
        table: What to take in place of the file's content; `path` is then a name for messages.

    Raises:
        ValueError: If there is no such file, or no table with names and rows in it.
    """

    def __init__(self, path: Path, forms: Mapping[str, Form] | None = None, table: pa.Table | None = None) -> None:
        self.path = path
        self.forms = dict(forms or {})
        """How columns write numbers and dates, of those that were asked for."""
        texts = [name for name, form in self.forms.items() if form is None]
        self.table, self._decimal_point = (table, ".") if table is not None else _read(path, texts)
        names = self.names
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{path} has more than one column of the name {twice[0]!r}")
        if is_text_table(path) and all(is_number(names, ".").to_pylist()):
            raise ValueError(f"the first line of {path} must name the columns, got {', '.join(names)}")
        if not len(self.table):
            raise ValueError(f"{path} has no rows")
        self._rows = np.arange(len(self.table))  # as they are in the file
        self._read: dict[str, pa.ChunkedArray | None] = {}

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
        column = self.column(name)
        if not pa.types.is_integer(column.type) or column.null_count or len(column) < MIN_COUNTED_ROWS:
            return False
        values = column.to_numpy()
        return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())

    def is_empty(self, name: str) -> bool:
        """Tell whether a column has no value in any row."""
        return bool(self.missing(name).all())

    def holds_numbers(self, name: str) -> bool:
        """Tell whether a column holds numbers or dates.

        Raises:
            ValueError: If it holds numbers, but for one cell or few of text.
        """
        if self._numbers(name) is not None:
            return True
        column = self.column(name)
        if is_text(column.type):
            num_known = len(column) - count(stands_for_nothing(column))
            num_texts = num_known - count(is_number(column, self._decimal_point))
            if num_texts < num_known / 2 and (num_texts == 1 or 10 * num_texts <= num_known):
                raise self._no_number(name, column)
        return False

    def is_ambiguous(self, name: str) -> bool:
        """Tell whether a column holds dates that may be read in two ways, as 3/4/2020 is of March or of April."""
        column = self.column(name)
        return is_text(column.type) and len(fitting_formats(known_texts(column))) > 1

    def missing(self, name: str) -> np.ndarray:
        """Return for each row whether a column lacks a value there, `(num_rows,)`."""
        numbers = self._numbers(name)
        return np.array(is_missing(self.column(name) if numbers is None else numbers))

    def check_complete(self, names: Sequence[str], remedy: str) -> None:
        """Check that no row lacks a value of some columns.

        Args:
            names: Names of the columns.
            remedy: What to do, for the message.

        Raises:
            ValueError: If one does.
        """
        missing = {name: flags for name in names if (flags := self.missing(name)).any()}
        if missing:
            name, flags = next(iter(missing.items()))
            number = np.logical_or.reduce(list(missing.values())).sum()
            columns = ", ".join(map(repr, list(missing)[:5])) + ", ..." * (len(missing) > 5)
            what = f"must hold a value; {number} of {len(self.table)} rows lack one in {columns}: {remedy}"
            raise self.error(name, int(flags.argmax()), what)

    def drop_missing(self, names: Sequence[str]) -> int:
        """Leave out the rows that lack a value of some columns, and return their number.

        Raises:
            ValueError: If none is left.
        """
        missing = np.array([self.missing(name) for name in names])
        kept = ~missing.any(axis=0)
        if not kept.any():
            worst = names[int(missing.sum(axis=1).argmax())]
            raise ValueError(f"{self.path}: each row lacks a value, most of them of {worst!r}: it can be no input")
        self.table, self._rows = self.table.filter(kept), self._rows[kept]
        self._read.clear()
        return int((~kept).sum())

    def numbers(self, names: Sequence[str], allow_missing: bool = False) -> np.ndarray:
        """Return columns of numbers, and dates in days.

        Args:
            names: Names of the columns.
            allow_missing: Whether cells may be empty; they become NaN.

        Returns:
            Finite numbers `(num_rows, num_columns)`, float64.

        Raises:
            ValueError: If there is no such column, or a cell does not hold a finite number.
        """
        values = np.empty((len(self.table), len(names)))
        for position, name in enumerate(names):
            column = self._numbers(name)
            if column is None:
                raise self._no_number(name, self.column(name))
            values[:, position] = column.cast("float64", safe=False).to_numpy()  # empty cells become NaN
            bad = ~np.isfinite(values[:, position])
            if allow_missing:
                bad &= ~np.isnan(values[:, position])
            if bad.any():
                raise self.error(name, int(bad.argmax()), "must hold a finite number")
        return values

    def texts(self, name: str) -> pa.ChunkedArray:
        """Return a column as text, without spaces around; whole numbers lose their point, and empty cells are null."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.column(name)
        column = pc.if_else(is_missing(column), pa.scalar(None, column.type), column)
        if pa.types.is_floating(column.type) and pc.all(pc.equal(pc.floor(column), column)).as_py() is not False:
            column = column.cast("int64", safe=False)
        return pc.utf8_trim_whitespace(column.cast("string"))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column.

        Raises:
            ValueError: If there is none of the name.
        """
        import pyarrow as pa

        if name not in self.names:
            raise not_found(self.path, "column", name, self.names)
        column = self.table[name]
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

    def error(self, name: str, row: int, what: str) -> ValueError:
        """Return the error of a cell, named as an editor counts: the first line is 1."""
        position, found = self.names.index(name), self.table[name][row].as_py()
        row = int(self._rows[row])
        if not is_text_table(self.path):
            where, value = f"row {row + 1}", found
        else:
            line, cells = next(islice(numbered_rows(self.path), row + 1, None))
            where, value = f"line {line}", cells[position]
        return ValueError(f"{self.path}, {where}, column {name!r}: {what}, got {value!r}")

    def _numbers(self, name: str) -> pa.ChunkedArray | None:
        """Return a column with its text or dates as numbers; None if it does not hold such."""
        column = self.column(name)
        if name not in self.forms:
            self.forms[name] = form_of(column, self._decimal_point)
            if self.forms[name] in SIGNS:
                _logger.info("%s, column %r: numbers are read without their %s", self.path, name, self.forms[name])
        if name not in self._read:
            self._read[name] = as_numbers(column, self._decimal_point, self.forms[name])
        return self._read[name]

    def _no_number(self, name: str, column: pa.ChunkedArray) -> ValueError:
        import pyarrow.compute as pc

        form = self.forms.get(name) or ""
        kind = f"a number with {form}" if form in SIGNS else f"a date as in training, {form}" if form else "a number"
        if not is_text(column.type):
            return ValueError(f"{self.path}, column {name!r}: must hold {kind}, got {column.type}")
        row = pc.or_(has_form(column, form, self._decimal_point), stands_for_nothing(column)).index(False).as_py()
        return self.error(name, max(row, 0), f"must hold {kind}, or the column be left out of `inputs`")


def _read(path: Path, texts: Sequence[str]) -> tuple[pa.Table, str]:
    if path.suffix != ".parquet" and not is_text_table(path):
        hint = "; export the sheet as CSV" if path.suffix.startswith(".xls") else ""
        hint = "; unpack the archive" if path.suffix == ".zip" else hint
        raise ValueError(f"a table's name must end in .csv, .tsv, .txt (or .csv.gz) or .parquet, got {path}{hint}")
    check_regular(path)
    try:
        return read_table(path, texts)
    except (ValueError, OSError) as error:  # pyarrow's own are of these kinds
        raise ValueError(f"{path} cannot be read as a table: {error}") from error

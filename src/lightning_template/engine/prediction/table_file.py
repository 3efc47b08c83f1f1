"""A file with a table that is written in parts, whose columns may differ."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import Table

MAX_WAITING = 2**26
"""Bytes of a table that wait, so that rows of later batches may have more columns."""

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")


class TableFile:
    """Writes a CSV or Parquet file, which is there once it is closed.

    Padded sequences have as many columns as the longest of their batch: a row has no value in columns that it lacks.

    Args:
        path: File to write.
        kind: `.csv` or `.parquet`.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.kind = kind
        self._waiting: list[Table] = []
        self._writer: Any = None
        self._schema: Any = None

    def write(self, columns: Mapping[str, Any]) -> None:
        """Add rows.

        Raises:
            ValueError: If they have columns that rows already in the file have not.
        """
        import pyarrow  # not needed to train

        self._waiting.append(pyarrow.table(columns if self.kind == ".parquet" else _without_formulas(columns)))
        if sum(table.nbytes for table in self._waiting) > MAX_WAITING:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        parts, self._waiting = self._waiting, []
        if self._schema is not None:
            table = pyarrow.concat_tables([self._schema.empty_table(), *parts], promote_options="default")
        else:
            table = joined(parts)
            self._schema = table.schema
            self._writer = _open(self.path, self.kind, table)
        if more := table.column_names[len(self._schema) :]:
            raise ValueError(
                f"rows after the first {MAX_WAITING // 2**20} MB have a new column {more[0]}: let `prediction_columns` "
                "return a list with a list of numbers for each sample"
            )
        self._writer.write_table(table)

    def close(self) -> bool:
        """Finish the file, and tell whether there is one."""
        if self._waiting:
            self._flush()
        if self._writer is None:
            return False
        self._writer.close()
        self._writer = None
        return True

    def discard(self) -> None:
        """Leave no half-written file."""
        self._waiting = []
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self.path.unlink()


def joined(parts: "list[Table]") -> "Table":
    """Return the rows of several tables; numbered columns that some lack go beside those of their name."""
    import pyarrow

    table = pyarrow.concat_tables(parts, promote_options="default")
    if len({tuple(part.column_names) for part in parts}) > 1:
        kinds = [name.rstrip("0123456789") for name in table.column_names]
        table = table.select(sorted(range(len(kinds)), key=lambda number: kinds.index(kinds[number])))
    return table


def _open(path: Path, kind: str, table: "Table") -> Any:
    if kind == ".parquet":
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(path, table.schema)
    from pyarrow.csv import CSVWriter

    return CSVWriter(path, table.schema)


def _without_formulas(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns for CSV: several values in a cell are joined by spaces, and no text is taken for a formula.

    Put a `'` before names and texts that begin as formulas do, or with a `'`: it takes one off to read them back.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """

    def cell(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return " ".join(map(str, value))
        return f"'{value}" if isinstance(value, str) and value.startswith(_BEGINS_FORMULA) else value

    return {
        cell(name): [cell(value) for value in column] if isinstance(column, list) else column
        for name, column in columns.items()
    }

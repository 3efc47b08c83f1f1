"""Reading of tables with pyarrow, which takes long to import and is imported where it is used."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_template.engine.files.table_cells import MISSING, SIGNS, count, is_number, is_text
from lightning_template.engine.files.table_text import (
    USUAL,
    UTF_8,
    delimiter,
    is_text_table,
    read_text,
    rows_of,
    suffix_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

_logger = logging.getLogger(__name__)


def read_table(path: Path, texts: Collection[str] = ()) -> tuple[pa.Table, str]:
    """Read a table and return its decimal point too.

    Args:
        path: File of the table.
        texts: Names of columns that are text, even where they look like numbers.

    Raises:
        ValueError: If it cannot be read; also an `OSError`.
    """
    if not is_text_table(path):
        from pyarrow import parquet

        return parquet.read_table(path, partitioning=None, page_checksum_verification=True), "."
    text, encoding = read_text(path)
    separator = delimiter(text)
    table, decimal_point = _parse(text, separator, ".", texts), "."
    if any(_has_decimal_commas(column, separator) for column in table.columns):
        table, decimal_point = _parse(text, separator, ",", texts), ","
    if (encoding, separator, decimal_point) != (UTF_8, USUAL[suffix_of(path)], "."):
        what = "%s: read with the separator %r, the decimal point %r and the encoding %s"
        _logger.info(what, path, separator, decimal_point, encoding.removesuffix("-sig"))
    names = [name.strip() for name in table.column_names]
    if names.count("") > 1:  # as empty columns of a sheet have it
        names = [name or f"Unnamed: {position}" for position, name in enumerate(names)]
    return table.rename_columns(names), decimal_point


def _parse(text: str, separator: str, decimal_point: str, texts: Collection[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    _, names = next(rows_of(text, separator), (0, []))
    return arrow_csv.read_csv(
        pa.BufferReader(text.encode()),
        read_options=arrow_csv.ReadOptions(use_threads=False),  # which names the row of a mistake
        parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            decimal_point=decimal_point,
            null_values=MISSING,
            column_types={name: pa.string() for name in names if name.strip() in texts},
        ),
    )


def _has_decimal_commas(column: pa.ChunkedArray, separator: str) -> bool:
    """Tell whether most of a column are numbers with a decimal comma; 1,234 is that only if commas do not separate."""
    if not is_text(column.type):
        return False
    import pyarrow.compute as pc

    column = pc.replace_substring_regex(column, f"[{''.join(SIGNS)}]", "")
    commas, points = count(is_number(column, ",")), count(is_number(column, "."))
    return 2 * commas > len(column) and (commas > points or (commas == points and separator != ","))

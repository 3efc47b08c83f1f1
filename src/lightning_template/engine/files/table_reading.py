"""Reading of tables with pyarrow, which takes long to import and is imported where it is used."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""What separates the cells of a row, by the ending of the file."""

_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


def read_table(path: Path) -> pa.Table:
    """Read a table.

    Raises:
        ValueError: If it cannot be read; also an `OSError`.
    """
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path, partitioning=None, page_checksum_verification=True)
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(use_threads=False),  # which names the row of a mistake
        parse_options=arrow_csv.ParseOptions(delimiter=DELIMITERS[path.suffix], newlines_in_values=True),
    )
    if not_text := [field.name for field in table.schema if pa.types.is_binary(field.type)]:
        raise ValueError(f"column {not_text[0]!r} must be text in UTF-8")
    return table.rename_columns([name.strip() for name in table.column_names])


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, and the number of the line where it starts."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=DELIMITERS[path.suffix])
        before = reader.line_num
        for cells in reader:
            if cells:
                yield before + 1, cells
            before = reader.line_num


def is_numeric(kind: pa.DataType) -> bool:
    """Tell whether a column of a type holds numbers or nothing."""
    import pyarrow as pa

    is_one_of = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(is_one(kind) for is_one in is_one_of)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of a type holds text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(texts: Sequence[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each text whether it is a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts], pa.string())
    return pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)


def count(flags: pa.ChunkedArray) -> int:
    """Return how many flags are true."""
    import pyarrow.compute as pc

    return pc.sum(flags).as_py() or 0

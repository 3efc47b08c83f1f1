"""Reading of tables with pyarrow, which takes long to import and is imported where it is used."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_template.engine.files.table_cells import MISSING, count, is_number, is_text

if TYPE_CHECKING:
    import pyarrow as pa

USUAL = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""Endings of tables that are text, and what separates the cells of a row there if nobody says so."""

_DELIMITERS = (";", "\t", "|", ",", " ")
"""Separators, rarest in cells first: numbers with a decimal comma may make as many cells."""

_ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")

_SAMPLE = 2**16

_logger = logging.getLogger(__name__)


def is_text_table(path: Path) -> bool:
    """Tell whether a file is a table that is text, by its name."""
    return path.name.removesuffix(".gz").endswith(tuple(USUAL))


def read_table(path: Path) -> tuple[pa.Table, str]:
    """Read a table and return its decimal point too.

    Raises:
        ValueError: If it cannot be read; also an `OSError`.
    """
    if not is_text_table(path):
        from pyarrow import parquet

        return parquet.read_table(path, partitioning=None, page_checksum_verification=True), "."
    text, encoding = _read_text(path)
    delimiter = _delimiter(text)
    decimal_point = "."
    table = _parse(text, delimiter, decimal_point)
    if delimiter != "," and any(_has_decimal_commas(column) for column in table.columns):
        decimal_point = ","
        table = _parse(text, delimiter, decimal_point)
    usual = USUAL[Path(path.name.removesuffix(".gz")).suffix]
    if (encoding, delimiter, decimal_point) != (_ENCODINGS[0], usual, "."):
        what = "%s: read with the separator %r, the decimal point %r and the encoding %s"
        _logger.info(what, path, delimiter, decimal_point, encoding.removesuffix("-sig"))
    return table.rename_columns([name.strip() for name in table.column_names]), decimal_point


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, and the number of the line where it starts."""
    text, _ = _read_text(path)
    return _rows(text, _delimiter(text))


def _read_text(path: Path) -> tuple[str, str]:
    """Return a table's text and its encoding; a file that ends in `.gz` is decompressed."""
    import pyarrow as pa

    with pa.input_stream(str(path)) as stream:
        content: bytes = stream.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, encoding = content.decode("utf-16"), "utf-16"
    elif b"\0" in content:
        raise ValueError("it holds zero bytes, and no text has them")
    else:
        text, encoding = _decode(content)
    if _delimiter(text) == " ":  # columns may be aligned by several
        text = re.sub(r"(?m)^ +| +(?=\r?$)", "", re.sub(r" +", " ", text))
    return text, encoding


def _decode(content: bytes) -> tuple[str, str]:
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            pass
    raise AssertionError("Latin-1 has a character for each byte")


def _delimiter(text: str) -> str:
    """Return the separator that gives most of the first rows as many cells as the names of the columns are."""

    def agreement(delimiter: str) -> float:
        sizes = [len(cells) for _, cells in itertools.islice(_rows(text[:_SAMPLE], delimiter), 100)]
        return sizes.count(sizes[0]) if sizes and sizes[0] > 1 else 0

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best) else ","


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter == " ")
    before = reader.line_num
    for cells in reader:
        if cells:
            yield before + 1, cells
        before = reader.line_num


def _parse(text: str, delimiter: str, decimal_point: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pa.BufferReader(text.encode()),
        read_options=arrow_csv.ReadOptions(use_threads=False),  # which names the row of a mistake
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(decimal_point=decimal_point, null_values=MISSING),
    )


def _has_decimal_commas(column: pa.ChunkedArray) -> bool:
    return is_text(column.type) and 2 * count(is_number(column, ",")) > len(column)

"""The text of tables: decompressed, decoded, and without what is no row. pyarrow is imported where it is used."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

USUAL = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""Endings of tables that are text, and what separates the cells of a row there if nobody says so."""

UTF_8 = "utf-8-sig"

_DELIMITERS = (";", "\t", "|", ",", " ")
"""Separators, rarest in cells first: numbers with a decimal comma may make as many cells."""

_ENCODINGS = (UTF_8, "cp1252", "latin-1")

_SAMPLE = 2**16


def suffix_of(path: Path) -> str:
    """Return the ending of a table's name, in lower case and without `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def is_text_table(path: Path) -> bool:
    """Tell whether a file is a table that is text, by its name."""
    return suffix_of(path) in USUAL


def read_text(path: Path) -> tuple[str, str]:
    """Return a table's text and its encoding; a file that ends in `.gz` is decompressed.

    What is no row becomes blank, so that lines keep their numbers: comments before the names of the columns, and the
    line of Excel that names the separator.

    Raises:
        ValueError: If it is no text; also an `OSError`.
    """
    import pyarrow as pa

    with pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None) as stream:
        content: bytes = stream.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, encoding = content.decode("utf-16"), "utf-16"
    elif content.startswith(b"PK\3\4"):
        raise ValueError("it is a zip archive or an Excel file: unpack it, or export the sheet as CSV")
    elif b"\0" in content:
        raise ValueError("it holds zero bytes, and no text has them")
    else:
        text, encoding = _decode(content)
    text = _without_comments(text)
    separator = delimiter(text)
    if separator == " ":  # columns may be aligned by several
        text = re.sub(r"(?m)^ +| +(?=\r?$)", "", re.sub(r" +", " ", text))
    elif re.search(rf'{re.escape(separator)} +"', text.lstrip("\r\n").partition("\n")[0]):
        text = re.sub(rf'(?m)(^|{re.escape(separator)}) +"', r'\1"', text)  # elsewhere than here, csv wants no spaces
    return text, encoding


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, and the number of the line where it starts."""
    text, _ = read_text(path)
    return rows_of(text, delimiter(text))


def delimiter(text: str) -> str:
    """Return the separator that gives most of the first rows as many cells as the names of the columns are."""

    def agreement(separator: str) -> float:
        sizes = [len(cells) for _, cells in itertools.islice(rows_of(text[:_SAMPLE], separator), 100)]
        return sizes.count(sizes[0]) if sizes and sizes[0] > 1 else 0

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best) else ","


def rows_of(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row of a text that is not blank, and the number of the line where it starts."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    before = reader.line_num
    for cells in reader:
        if cells:
            yield before + 1, cells
        before = reader.line_num


def _decode(content: bytes) -> tuple[str, str]:
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            pass
    raise AssertionError("Latin-1 has a character for each byte")


def _without_comments(text: str) -> str:
    """Return a text with blank lines instead of those before the names of the columns.

    If numbers follow at once, the last comment has the names, as numpy writes them.
    """
    before = re.match(r"(?:sep=.\r?\n)?((?:#.*\r?\n)*)", text)
    assert before is not None
    rest = text[before.end() :]
    blank = "\n" * before[0].count("\n")
    if before[1]:
        separator = delimiter(rest)
        names = next(csv.reader(before[1].splitlines()[-1:], delimiter=separator))
        _, first = next(rows_of(rest, separator), (0, []))
        if len(first) == len(names) and any(re.fullmatch(r"\s*[-+]?[\d.,]+([eE][-+]?\d+)?\s*", cell) for cell in first):
            return blank[1:] + before[1].splitlines()[-1].removeprefix("#").lstrip() + "\n" + rest
    return blank + rest

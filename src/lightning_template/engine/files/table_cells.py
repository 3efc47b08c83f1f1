"""Cells of tables: numbers, dates, text, and what stands for nothing. pyarrow is imported where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MISSING: tuple[str, ...] = ("", "?", "None", "none", "NULL", "null", "NA", "N/A", "n/a", "#NA", "#N/A", "<NA>")
MISSING += ("NaN", "-NaN", "nan", "-nan", "NaT")
"""What stands for a number that is not known."""

_NUMBERS = {
    ".": r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$",
    ",": r"^\s*[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?\s*$",
}
"""What a number looks like, by its decimal point."""

_DATES = [
    f"{date}{time}"
    for date in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
    for time in ("", " %H:%M", " %H:%M:%S")
]  # fmt: skip
"""Formats of dates that pyarrow does not know."""


def is_numeric(kind: pa.DataType) -> bool:
    """Tell whether a column of a type holds numbers or nothing."""
    import pyarrow as pa

    is_one_of = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(is_one(kind) for is_one in is_one_of)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of a type holds text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(texts: Sequence[str] | pa.ChunkedArray, decimal_point: str) -> pa.ChunkedArray:
    """Return for each text whether it is a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts], pa.string())
    return pc.fill_null(pc.match_substring_regex(texts, _NUMBERS[decimal_point]), False)


def stands_for_nothing(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each text whether it is empty, or stands for a number that is not known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.fill_null(pc.utf8_trim_whitespace(texts), "")
    return pc.is_in(texts, value_set=pa.array(MISSING, texts.type))


def as_numbers(column: pa.ChunkedArray, decimal_point: str) -> pa.ChunkedArray:
    """Turn text of numbers into numbers, and dates into days; return any other column as it is."""
    import pyarrow.compute as pc

    if not is_text(column.type) or not len(column):
        return _dates_as_days(column)
    nothing, numbers = stands_for_nothing(column), is_number(column, decimal_point)
    if not pc.all(pc.or_(nothing, numbers)).as_py() or not count(numbers):
        return _dates_as_days(column)
    texts = pc.replace_substring(pc.utf8_trim_whitespace(column), decimal_point, ".")
    return pc.if_else(nothing, None, texts).cast("float64")


def is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each cell whether it is empty or not a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(column.type):
        return pc.equal(pc.fill_null(pc.utf8_trim_whitespace(column), ""), "")
    return pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))


def count(flags: pa.ChunkedArray) -> int:
    """Return how many flags are true."""
    import pyarrow.compute as pc

    return pc.sum(flags).as_py() or 0


def _dates_as_days(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn dates and times into days since 1970, or since midnight, as float64; return any other column as it is.

    Dates in text are seen if exactly one format fits all of them: 3/4/2020 alone may be in March or in April.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(column.type):
        texts = pc.utf8_trim_whitespace(column)
        texts = pc.if_else(pc.equal(texts, ""), None, texts)
        fitting = [format_ for format_ in _DATES if _are_dates(texts.drop_null(), format_)]
        if len(fitting) != 1:
            return column
        column = pc.strptime(texts, fitting[0], "s", error_is_null=True)
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        unit = pa.timestamp("us", getattr(column.type, "tz", None))
    elif pa.types.is_time(column.type):
        column, unit = column.cast(pa.time64("us"), safe=False), pa.time64("us")
    elif pa.types.is_duration(column.type):
        unit = pa.duration("us")
    else:
        return column
    return pc.divide(column.cast(unit, safe=False).cast("int64").cast("float64"), 86_400e6)


def _are_dates(texts: pa.ChunkedArray, format_: str) -> bool:
    import pyarrow.compute as pc

    def are(some: pa.ChunkedArray) -> bool:
        return len(some) > 0 and not pc.strptime(some, format_, "s", error_is_null=True).null_count

    return are(texts[:1]) and are(texts)

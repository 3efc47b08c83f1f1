"""Cells of tables: numbers, text, and what stands for nothing. pyarrow is imported where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_template.engine.files.table_dates import (
    ANY_DATE,
    date_format,
    dates_as_days,
    is_date,
    looks_like,
    parse_dates,
)

if TYPE_CHECKING:
    import pyarrow as pa

MISSING: tuple[str, ...] = ("", "?", "None", "none", "NULL", "null", "NA", "N/A", "n/a", "#NA", "#N/A", "<NA>")
MISSING += (
    "NaN",
    "-NaN",
    "nan",
    "-nan",
    "NAN",
    "NaT",
    "na",
    "n.a.",
    "N.A.",
    "-",
    "--",
    ".",
    "..",
    "...",
    "\\N",
    "#DIV/0!",
)
"""What stands for a number that is not known."""

Form = str | None
"""How a column writes numbers: as they are, which is an empty text, with a sign that all have, or a format of dates."""

SIGNS = ("%", "$", "€", "£", "¥")
"""Signs that all numbers of a column may have; they are read without it."""

_GROUPS = r"['\x{2019} \x{a0}\x{202f}"
_NUMBERS = {
    point: rf"^\s*[-+\x{{2212}}]?((\d+{escaped}?\d*|{escaped}\d+)([eE][-+]?\d+)?"
    rf"|[1-9]\d{{0,2}}({_GROUPS}{other}]\d{{3}})+({escaped}\d+)?)\s*$"
    for point, escaped, other in ((".", r"\.", ","), (",", ",", "."))
}
"""What a number looks like, by its decimal point; it may have groups of thousands, or the minus of typesetters."""


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


def known_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the texts that do not stand for nothing, without spaces around."""
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(texts.filter(pc.invert(stands_for_nothing(texts))))


def form_of(column: pa.ChunkedArray, decimal_point: str) -> Form:
    """Return how a column writes numbers or dates.

    Returns:
        An empty text for plain numbers, a sign that all of them have, the format of its dates, or `ANY_DATE` if their
        dates need none. None if it holds something else.
    """
    import pyarrow.compute as pc

    if not is_text(column.type):
        return ANY_DATE if is_date(column.type) else "" if is_numeric(column.type) else None
    known = known_texts(column)
    if not len(known):
        return None
    for sign in ("", *SIGNS):
        if all(pc.all(has_form(texts, sign, decimal_point)).as_py() for texts in (known[:100], known)):
            return sign
    return date_format(known)


def has_form(texts: pa.ChunkedArray, form: str, decimal_point: str) -> pa.ChunkedArray:
    """Return for each text whether it is a number or a date in a form."""
    import pyarrow.compute as pc

    if len(form) > 1:
        return looks_like(texts, form)
    numbers = is_number(_without(texts, form), decimal_point)
    return pc.and_(numbers, pc.equal(pc.count_substring(texts, form), 1)) if form else numbers


def as_numbers(column: pa.ChunkedArray, decimal_point: str, form: Form) -> pa.ChunkedArray | None:
    """Turn text of numbers into numbers, and dates into days.

    Args:
        column: Column of a table.
        decimal_point: Point or comma.
        form: How it writes them.

    Returns:
        Numbers; None if the column does not hold such, or writes them otherwise.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if form is None:
        return None
    if pa.types.is_null(column.type):
        return column
    if not is_text(column.type):
        days = dates_as_days(column)
        return days if (len(form) > 1) == is_date(column.type) and form not in SIGNS else None
    texts = pc.if_else(stands_for_nothing(column), None, pc.utf8_trim_whitespace(column))
    if len(form) > 1:
        return parse_dates(texts, form)
    if not pc.all(has_form(texts.drop_null(), form, decimal_point)).as_py():
        return None
    groups = rf"{_GROUPS}{',' if decimal_point == '.' else '.'}]"
    texts = pc.replace_substring_regex(_without(texts, form), groups, "")
    texts = pc.replace_substring(pc.replace_substring(texts, "\u2212", "-"), decimal_point, ".")
    return texts.cast("float64")


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


def _without(texts: pa.ChunkedArray, sign: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(pc.replace_substring(texts, sign, "")) if sign else texts

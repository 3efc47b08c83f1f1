"""Dates in columns of tables, as days. pyarrow is imported where it is used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ANY_DATE = "%Y-%m-%d"
"""Form of a column of dates that can be read in one way only."""

_DAYS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
_FORMATS = [f"{day}{time}" for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")]
"""Formats of dates that pyarrow does not know by itself."""

_PARTS = {"Y": r"\d{4}", "y": r"\d{2}", "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,}"} | dict.fromkeys("dmHMS", r"\d{1,2}")
"""Regular expressions of what the letters of a format stand for; `strptime` takes a year of two digits for any."""


def is_date(kind: pa.DataType) -> bool:
    """Tell whether a column of a type holds dates, times or durations."""
    import pyarrow as pa

    return bool(pa.types.is_temporal(kind))


def date_format(texts: pa.ChunkedArray) -> str | None:
    """Return the one format that fits all texts, or None: 3/4/2020 alone may be in March or in April."""
    fitting = fitting_formats(texts)
    return fitting[0] if len(fitting) == 1 else None


def fitting_formats(texts: pa.ChunkedArray) -> list[str]:
    """Return the formats that fit all texts; of names of months, only one of those that read them alike."""
    fitting = [form for form in _FORMATS if len(texts) and _fits(texts[:1], form) and _fits(texts, form)]
    return fitting[:1] if fitting and re.search("%[bB]", fitting[0]) else fitting


def parse_dates(texts: pa.ChunkedArray, form: str) -> pa.ChunkedArray | None:
    """Return the days of texts or nulls, read in one form; None if they are written otherwise."""
    import pyarrow.compute as pc

    known = texts.drop_null()
    chosen = date_format(known) if form == ANY_DATE else form
    if chosen is None or (len(known) and not _fits(known, chosen)):
        return None
    return dates_as_days(pc.strptime(texts, chosen, "s", error_is_null=True))


def dates_as_days(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn dates and times into days since 1970, or since midnight, as float64; return any other column as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        unit = pa.timestamp("us", getattr(column.type, "tz", None))
    elif pa.types.is_time(column.type):
        column, unit = column.cast(pa.time64("us"), safe=False), pa.time64("us")
    elif pa.types.is_duration(column.type):
        unit = pa.duration("us")
    else:
        return column
    return pc.divide(column.cast(unit, safe=False).cast("int64").cast("float64"), 86_400e6)


def looks_like(texts: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """Return for each text whether it has the letters and digits of a format."""
    import pyarrow.compute as pc

    pattern = re.sub("%([a-zA-Z])", lambda letter: _PARTS[letter[1]], form.replace(".", r"\."))
    return pc.match_substring_regex(texts, rf"^\s*{pattern}\s*$")


def _fits(texts: pa.ChunkedArray, form: str) -> bool:
    import pyarrow.compute as pc

    return bool(
        pc.all(looks_like(texts, form)).as_py() and not pc.strptime(texts, form, "s", error_is_null=True).null_count
    )

"""Dates, times and durations in tables, as numbers."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from lightning_template.engine.files.table_cells import _dates_as_days

EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("values", "days"),
    [
        ([date(1970, 1, 2), None, date(1971, 1, 1)], [1, None, 365]),
        ([datetime(1970, 1, 2, 12), datetime(1969, 12, 31)], [1.5, -1]),
        ([datetime(1970, 1, 2, 2, tzinfo=EAST), None], [1, None]),
        ([time(6), time(18, 0, 0, 500), None], [0.25, 0.75 + 5e-4 / 86400, None]),
        ([timedelta(hours=36), timedelta(0)], [1.5, 0]),
        (["3.1.1970", " ", "1.1.1970"], [2, None, 0]),
        (["13/4/1970", "2/4/1970"], [102, 91]),
    ],
)
def test_dates_are_days(values: list[Any], days: list[float | None]) -> None:
    column = _dates_as_days(pa.chunked_array([values]))
    assert column.type == pa.float64()
    assert column.to_pylist() == pytest.approx(days, abs=1e-9)


@pytest.mark.parametrize("values", [["3/4/2020", "2/4/2020"], ["1970-01-03", "3.1.1970"], [1, 2], ["a", "b"]])
def test_what_is_no_date_stays(values: list[Any]) -> None:
    column = pa.chunked_array([values])
    assert _dates_as_days(column).equals(column)

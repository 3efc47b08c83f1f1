"""Dates, times and durations in tables, as numbers."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from lightning_template.engine.files.table_cells import as_numbers, form_of
from lightning_template.engine.files.table_text import delimiter

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
    cells = pa.chunked_array([values])
    column = as_numbers(cells, ".", form_of(cells, "."))
    assert column is not None
    assert column.type == pa.float64()
    assert column.to_pylist() == pytest.approx(days, abs=1e-9)


@pytest.mark.parametrize(
    "values", [["3/4/2020", "2/4/2020"], ["1970-01-03", "3.1.1970"], ["3.1.70", "3.1.1970"], ["a"]]
)
def test_what_is_no_date_stays(values: list[Any]) -> None:
    cells = pa.chunked_array([values])
    assert form_of(cells, ".") is None
    assert as_numbers(cells, ".", None) is None


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["3/4/2020"], ""),  # plain numbers in training
        ([3, 4], "%d/%m/%Y"),
        (["2020-04-03 or so"], "%d/%m/%Y"),
        (["31/12/2020", "12/31/2020"], "%d/%m/%Y"),
        (["12", "13"], "%"),
        ([12.0], "%"),
        (["12%"], ""),
        (["12%", "13"], "%"),
    ],
)
def test_cells_that_are_written_otherwise_than_in_training_are_none(values: list[Any], form: str) -> None:
    assert as_numbers(pa.chunked_array([values]), ".", form) is None


def test_separators_are_sought_in_the_first_65536_characters() -> None:
    head = "a,b;c\n"
    text = head + "x" * (2**16 - len(head) - 1) + ",y\n"
    assert text[2**16 - 1] == ","
    assert delimiter(text) == ","
    assert delimiter(text.replace("x,", "xx,")) == ";"

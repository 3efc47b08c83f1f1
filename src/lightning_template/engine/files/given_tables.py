"""Tables that Python holds, such as a DataFrame. pyarrow is imported where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lightning_template.engine.batches import kind_of, tensor_of
from lightning_template.engine.files.table_cells import is_text

if TYPE_CHECKING:
    import pyarrow as pa

NAME = Path("the table")
"""Name for messages, in place of a file's."""


def given_table(given: Any, names: Sequence[str]) -> pa.Table:
    """Return a table that Python holds.

    Args:
        given: DataFrame of any library, pyarrow's table, dict of columns, list of dicts, or array `(N, num_columns)`.
        names: Names of the columns of an array.

    Raises:
        ValueError: If it is something else.
    """
    import pyarrow as pa

    try:
        table = _table(given, names)
        columns = [_with_dates(column) for column in table.columns]
        return pa.table(columns, [name.strip() for name in table.column_names])  # as those of a text are
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{kind_of(given)} cannot be taken for a table: {str(error).splitlines()[0]}") from error


def _table(given: Any, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import interchange

    if isinstance(given, Mapping):
        columns = {str(name): column if _is_column(column) else [column] for name, column in given.items()}
        return pa.table({name: _values(column) for name, column in columns.items()})
    if isinstance(given, list | tuple) and given and all(isinstance(row, Mapping) for row in given):
        return pa.Table.from_pylist(list(given))
    if hasattr(given, "__arrow_c_stream__"):
        return pa.table(given)
    if hasattr(given, "__dataframe__"):
        return interchange.from_dataframe(given)
    if not isinstance(given, Tensor | list | tuple) and not hasattr(given, "__array__"):
        raise TypeError("give a DataFrame, a dict of columns, a list of dicts or an array")
    numbers = tensor_of(given)
    if numbers.ndim == 1 and len(names) == 1:
        numbers = numbers.unsqueeze(1)
    if numbers.ndim != 2 or numbers.shape[1] != len(names):
        raise ValueError(f"the data have {len(names)} columns, {', '.join(names)}, got {tuple(numbers.shape)}")
    return pa.table(dict(zip(names, numbers.numpy().T, strict=True)))


def _with_dates(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column whose texts are dates or times of ISO 8601 as such: so they are read from a file."""
    import pyarrow as pa

    if is_text(column.type):
        for kind in (pa.date32(), pa.timestamp("s"), pa.timestamp("ns"), pa.time32("s")):
            with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                return column.cast(kind)
    return column


def _is_column(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str | bytes)


def _values(column: Any) -> Any:
    return column if isinstance(column, list | tuple) or hasattr(column, "__arrow_array__") else np.asarray(column)

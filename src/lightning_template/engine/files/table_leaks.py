"""Columns of a table that alone tell the target."""

import logging
from collections.abc import Sequence

import numpy as np

from lightning_template.engine.files.table_file import TableFile

MIN_ROWS = 20
"""Number of rows below which a column may tell the target by chance."""

MAX_ROWS = 10_000
"""Number of rows, evenly spread, that stand for all."""

MIN_CORRELATION = 0.9999
"""Correlation with a number to predict from which on a column is this number, but for its unit and rounding."""

_logger = logging.getLogger(__name__)


def warn_of_leaks(file: TableFile, inputs: Sequence[str], targets: np.ndarray) -> None:
    """Log which columns alone tell a target: such a column is often made from it, and unknown when it is asked for.

    Args:
        file: Table.
        inputs: Names of the columns that are inputs.
        targets: Class indices `(num_rows,)`, or numbers `(num_rows, num_targets)`.
    """
    rows = np.arange(len(targets))[:: -(-len(targets) // MAX_ROWS)]
    if len(rows) < MIN_ROWS:
        return
    targets = targets[rows]
    leaks = [name for name in inputs if _tells(*_column(file, name, rows), targets)]
    if leaks:
        columns = ", ".join(map(repr, leaks))
        what = "%s: column %s alone tells the target: leave it out of `inputs` if it is not known beforehand"
        _logger.warning(what, file.path, columns)


def _column(file: TableFile, name: str, rows: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return some rows of a column, and whether it holds numbers."""
    if file.holds_numbers(name):
        return file.numbers([name], allow_missing=True)[rows, 0], True
    return np.array(file.texts(name).fill_null(""))[rows].astype(str), False


def _tells(column: np.ndarray, is_number: bool, targets: np.ndarray) -> bool:
    if targets.ndim == 2:
        return is_number and any(_correlation(column, target) > MIN_CORRELATION for target in targets.T)
    values, codes = np.unique(column, return_inverse=True)
    if len(np.unique(np.stack([codes, targets]), axis=1).T) > len(values):  # a value has rows of two classes
        return False
    changes = np.count_nonzero(np.diff(targets[np.argsort(codes)]))
    is_code, is_cut = 2 * len(values) <= len(column), is_number and changes < len(np.unique(targets))
    return is_code or bool(is_cut)


def _correlation(column: np.ndarray, target: np.ndarray) -> float:
    known = ~np.isnan(column)
    first, second = (values[known] - values[known].mean() for values in (column, target))
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float(abs((first * second).sum()) / scale) if scale > 0 else 0.0

"""Columns of a table as inputs: numbers as they are, dates in days, text as categories."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.batches import Inputs
from lightning_template.engine.files.table_file import TableFile

if TYPE_CHECKING:
    import pyarrow as pa

Missing = Literal["median", "drop", "indicator"]
"""What happens to cells without a value."""

REMEDIES = "give `--data.missing median`, `drop` or `indicator`"
NOT_DROPPED = "`missing: drop` leaves out no row to predict; train with `median` or `indicator`"

MAX_CATEGORIES = 100
"""Number of different texts in a column above which it is no input unless somebody names it."""

_logger = logging.getLogger(__name__)


class TableInputs:
    """Turns tables into the inputs of a network, as a table for training says.

    Stored inputs have a flag beside them for each column of numbers that may lack values. So medians can be those of
    training rows alone, which are chosen later.

    Args:
        file: Table for training, which says what the categories are.
        names: Names of the columns.
        missing: What becomes of cells without a value. `median` takes the median of the training rows, and no category
            for text; `indicator` besides adds a column that tells where there was none; `drop` leaves out the row.
            None refuses them.
        as_index: Whether text becomes the index of its category, from 1, instead of 0 and 1 for each; 0 is for none.

    Raises:
        ValueError: If there is no such column, or it is of more categories than a network could learn from.
    """

    def __init__(self, file: TableFile, names: Sequence[str], missing: Missing | None, as_index: bool = False) -> None:
        self.columns = list(names)
        self.as_index = as_index
        self.forms = file.forms
        self.missing = missing
        self.numbers = [name for name in names if file.holds_numbers(name)]
        self.categories = {name: _categories(file, name) for name in names if name not in self.numbers}
        self.told = [name for name in names if missing == "indicator" and file.missing(name).any()]
        self._medians = torch.zeros(len(self.numbers))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each number that a network gets; indices of categories are the last."""
        told = [f"{name} is missing" for name in self.told]
        if self.as_index:
            return (*self.numbers, *told, *self.categories)
        categories = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        return (*self.numbers, *categories, *told)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each index of a category how many values it may have."""
        return tuple(len(values) + 1 for values in self.categories.values()) if self.as_index else ()

    def read(self, file: TableFile) -> Tensor:
        """Return stored inputs `(num_rows, num_stored)`, float64.

        Raises:
            ValueError: If a column is not there, or a cell holds something else.
        """
        is_filled = self.missing in ("median", "indicator")
        if not is_filled:
            file.check_complete(self.columns, REMEDIES if self.missing is None else NOT_DROPPED)
        numbers = file.numbers(self.numbers, allow_missing=is_filled)
        told = [file.missing(name)[:, None] for name in self.told]
        indices = [_category_indices(file, name, values)[:, None] for name, values in self.categories.items()]
        parts = [np.nan_to_num(numbers), *told, *indices]
        if not self.as_index:
            sizes = map(len, self.categories.values())
            one_hot = [part == np.arange(1, size + 1) for part, size in zip(indices, sizes, strict=True)]
            parts = [np.nan_to_num(numbers), *one_hot, *told]
        if is_filled:
            parts.append(np.isnan(numbers))
        return torch.from_numpy(np.hstack(parts, dtype=np.float64, casting="unsafe"))

    def read_file(self, path: Path, table: "pa.Table | None" = None) -> Tensor:
        """Return stored inputs of another file, whose columns are written as those for training are.

        Args:
            path: File.
            table: What to take in place of its content.

        Raises:
            ValueError: As `read` does, and if the file is no table.
        """
        return self.read(TableFile(path, self.forms, table))

    def leave_out(self, file: TableFile, targets: Sequence[str]) -> None:
        """Leave out rows that lack a value where that is asked for, and log their number.

        Args:
            file: Table.
            targets: Names of the columns to predict, which no row may lack.

        Raises:
            ValueError: If a row lacks a target, and it is not asked for.
        """
        if self.missing != "drop":
            file.check_complete(targets, "give `--data.missing drop`, or mend the file")
        elif number := file.drop_missing([*self.columns, *targets]):
            _logger.info("%s: %d rows left out, as they lack a value", file.path, number)

    def fit(self, stored: Inputs, indices: Tensor) -> Tensor:
        """Measure the median of each column of numbers in the training rows; 0 if it has no value there.

        Args:
            stored: Stored inputs `(num_rows, num_stored)`.
            indices: Indices of the training rows.

        Returns:
            Inputs of the training rows, as `fill` returns them.
        """
        rows = stored.index_select(0, indices)
        if self.missing in ("median", "indicator"):
            flags = rows[:, len(self.names) :].bool()
            columns = [rows[:, i][~flags[:, i]].numpy() for i in range(len(self.numbers))]
            self._medians = torch.tensor(
                [np.median(column) if len(column) else 0.0 for column in columns], dtype=rows.dtype
            )
        return self.fill(rows)

    def fill(self, stored: Tensor) -> Tensor:
        """Return inputs `(num_rows, num_inputs)`, with medians where stored inputs lack a value."""
        inputs, flags = stored.tensor_split([len(self.names)], dim=1)
        if not flags.shape[1]:
            return inputs
        numbers, others = inputs.tensor_split([len(self.numbers)], dim=1)
        return torch.cat([torch.where(flags.bool(), self._medians.to(inputs), numbers), others], dim=1)


def choose_inputs(file: TableFile, targets: Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
    """Return all columns of numbers, dates and categories that are neither targets nor an index; log the others.

    Args:
        file: Table.
        targets: Names of the columns to predict.
        exclude: Names of columns to leave out.

    Raises:
        ValueError: If there is no such column.
    """
    for name in (*targets, *exclude):
        file.column(name)
    others = [name for name in file.names if name not in {*targets, *exclude}]
    empty = [name for name in others if file.is_empty(name)]
    indices = [name for name in others if name not in empty and file.is_index(name)]
    ambiguous = [name for name in others if name not in empty and file.is_ambiguous(name)]
    rest = [name for name in others if name not in {*indices, *empty, *ambiguous}]
    inputs = [name for name in rest if file.holds_numbers(name) or _are_categories(file, name)]
    reasons = (
        (indices, "an index of the rows; to use it, name all inputs in `inputs`"),
        (empty, "empty"),
        (ambiguous, "dates where day or month may come first: write them as 2020-12-31"),
        ([name for name in rest if name not in inputs], "text that differs in most rows or has too many categories"),
    )
    told = [f"column {', '.join(map(repr, names))}: no input, as it is {why}" for names, why in reasons if names]
    if not inputs:
        what = f"has no column of numbers or categories beside {', '.join(targets)} to predict it from"
        raise ValueError("; ".join([f"{file.path} {what}", *told]))
    for line in told:
        _logger.info("%s: %s", file.path, line)
    return inputs


def _are_categories(file: TableFile, name: str) -> bool:
    texts = file.texts(name).drop_null()
    return len(texts.unique()) <= min(MAX_CATEGORIES, len(texts) / 2)


def _categories(file: TableFile, name: str) -> list[str]:
    categories: list[str] = sorted(file.texts(name).drop_null().unique().to_pylist())
    if len(categories) > 10 * MAX_CATEGORIES:
        raise ValueError(
            f"{file.path}, column {name!r}: {len(categories)} different texts are more than {10 * MAX_CATEGORIES} "
            "categories: leave the column out of `inputs`"
        )
    return categories


def _category_indices(file: TableFile, name: str, categories: Sequence[str]) -> np.ndarray:
    """Return for each row the index of its category, from 1; 0 for another value or none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = file.texts(name)
    indices = pc.index_in(texts, value_set=pa.array(categories, pa.string()))
    if unknown := texts.filter(pc.and_(indices.is_null(), texts.is_valid())).unique().to_pylist():
        what = "%s, column %r: values that the training set lacks count as none of its categories: %s"
        _logger.warning(what, file.path, name, ", ".join(map(repr, unknown[:5])) + ", ..." * (len(unknown) > 5))
    return np.array(pc.fill_null(indices, -1)) + 1

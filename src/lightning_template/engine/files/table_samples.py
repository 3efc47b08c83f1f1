"""Samples from tables: inputs, and classes or numbers to predict."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_template.engine.batches import check_targets_differ
from lightning_template.engine.files.table_classes import class_indices, classes_of
from lightning_template.engine.files.table_file import TableFile
from lightning_template.engine.files.table_inputs import Missing, TableInputs, choose_inputs
from lightning_template.engine.files.table_leaks import warn_of_leaks


def check_columns(targets: Sequence[str], inputs: Sequence[str] | None, exclude: Sequence[str], task: str) -> None:
    """Check the names of columns, before there is a table.

    Args:
        targets: Names of the columns to predict.
        inputs: Names of the columns to predict them from; None if the table says.
        exclude: Names of columns that are no inputs.
        task: `classification` or `regression`.

    Raises:
        ValueError: If a column is input and target at once, classes are to come from several columns, or `inputs` and
            `exclude` are both given.
    """
    if not targets or (task == "classification" and len(targets) > 1):
        raise ValueError(f"`targets` must name one column, or several for regression, got {list(targets)}")
    if inputs is not None and not inputs:
        raise ValueError("`inputs` must name at least one column, or be left out, got []")
    if inputs is not None and exclude:
        raise ValueError(f"`exclude` is for inputs that are not named, got both `inputs` and `exclude` {list(exclude)}")
    if both := [name for name in targets if name in (inputs or exclude)]:
        raise ValueError(f"a column must not be input and target at once, or target and left out, got {both}")


class TableSamples:
    """Samples of a table for training, and those of other tables as this one says.

    Args:
        path: Table for training.
        targets: Names of the columns to predict.
        inputs: Names of the columns to predict them from; if None, those that `choose_inputs` returns.
        exclude: Names of columns that it leaves out.
        task: `classification` or `regression`.
        missing: What becomes of cells without a value, as `TableInputs` takes it.
        as_index: What becomes of text, likewise.

    Raises:
        ValueError: If the file is not such a table, lacks a column, or a cell holds something else.
    """

    def __init__(
        self,
        path: Path,
        targets: Sequence[str],
        *,
        inputs: Sequence[str] | None,
        exclude: Sequence[str],
        task: str,
        missing: Missing | None,
        as_index: bool,
    ) -> None:
        file = TableFile(path)
        names = choose_inputs(file, targets, exclude) if inputs is None else inputs
        self.inputs = TableInputs(file, names, missing, as_index)
        self.class_names: tuple[str, ...] | None = None
        """Name of each class; None for regression."""
        self._targets = targets
        self.inputs.leave_out(file, targets)
        if task == "classification":
            self.class_names = tuple(classes_of(file, targets[0]))
        self.train = self._samples(file)
        """Samples for training."""
        for name, column in zip(targets, self.train[1][:, None].flatten(1).unbind(1), strict=True):
            check_targets_differ(f"{path}, column {name!r}", column)
        warn_of_leaks(file, names, self.train[1].numpy())

    def read(self, path: Path) -> tuple[Tensor, Tensor]:
        """Return the samples of another table.

        Raises:
            ValueError: As for the class, and if a row is of a class that the training set lacks.
        """
        file = TableFile(path, self.inputs.forms)
        self.inputs.leave_out(file, self._targets)
        return self._samples(file)

    def _samples(self, file: TableFile) -> tuple[Tensor, Tensor]:
        inputs = self.inputs.read(file)
        if self.class_names is not None:
            return inputs, torch.from_numpy(class_indices(file, self._targets[0], self.class_names))
        return inputs, torch.from_numpy(file.numbers(self._targets)).float()

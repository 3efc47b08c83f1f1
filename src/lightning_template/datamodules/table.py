"""A table of numbers: some columns are predicted from others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Samples, check_targets_differ
from lightning_template.engine.files import DataDigest, OneFileReader, TableFile, choose_inputs, digest_of_file


class TableDataModule(NormalizedDataModule):
    """Rows of a CSV, TSV or Parquet file: inputs `(num_columns,)`, float, and a class index or numbers to predict.

    For classification, targets are class indices `()`: classes are the different values of the column, text or whole
    numbers, in their order. For regression they are the table's numbers `(num_targets,)`, float.

    Args:
        path: File that ends in `.csv`, `.tsv` or `.parquet`; the first line of the first two names the columns.
        targets: Name of the column to predict; for regression there may be several.
        inputs: Names of the columns to predict it from; all other columns of numbers if not given. An index of the
            rows is left out, such as pandas writes: a column without a name, or whole numbers that count the rows.
        task: What the targets are.
        test_path: File with the same columns for the test; if not given, a fraction of the rows of `path`.

    Raises:
        ValueError: If a column is input and target at once, or classes are to come from several columns.
    """

    def __init__(
        self,
        path: str,
        targets: Sequence[str] | str,
        inputs: Sequence[str] | None = None,
        task: Literal["classification", "regression"] = "classification",
        test_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.targets = [targets] if isinstance(targets, str) else list(targets)
        if not self.targets or (task == "classification" and len(self.targets) > 1):
            raise ValueError(f"`targets` must name one column, or several for regression, got {self.targets}")
        if inputs is not None and not inputs:
            raise ValueError("`inputs` must name at least one column, or be left out, got []")
        if both := [name for name in self.targets if name in (inputs or ())]:
            raise ValueError(f"a column must not be input and target at once, got {both}")
        self.path = Path(path).expanduser()
        self.inputs = inputs
        self.task = task
        self.test_path = Path(test_path).expanduser() if test_path is not None else None
        self.input_names: tuple[str, ...] = ()
        """Names of the columns that are the inputs, once the data are loaded."""
        self.class_names: tuple[str, ...] | None = None
        """Name of each class, once the data are loaded; None for regression."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, once the data are loaded."""
        return (len(self.input_names),)

    @property
    def num_classes(self) -> int:
        """Number of classes, once the data are loaded."""
        return len(self.class_names or ())

    def load(self) -> tuple[Samples, Samples | None]:
        """Read the columns.

        Raises:
            ValueError: If a file is not such a table, lacks a column, or a cell holds something else.
        """
        file = TableFile(self.path)
        self.input_names = tuple(choose_inputs(file, self.targets) if self.inputs is None else self.inputs)
        if self.task == "classification":
            self.class_names = tuple(file.classes(self.targets[0]))
        train = self._samples(file)
        for name, column in zip(self.targets, train[1][:, None].flatten(1).unbind(1), strict=True):
            check_targets_differ(f"{self.path}, column {name!r}", column)
        return train, self._samples(TableFile(self.test_path)) if self.test_path else None

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digests of the tables."""
        paths = {"path": self.path, "test_path": self.test_path}
        return {name: digest_of_file(path) for name, path in paths.items() if path is not None}

    def file_reader(self) -> OneFileReader:
        """Return a reader of the columns of the inputs."""
        return OneFileReader(lambda path: self._inputs(TableFile(path)))

    def _inputs(self, file: TableFile) -> Tensor:
        return torch.from_numpy(file.numbers(self.input_names))

    def _samples(self, file: TableFile) -> Samples:
        inputs = self._inputs(file)
        if self.class_names is not None:
            return inputs, torch.from_numpy(file.class_indices(self.targets[0], self.class_names))
        return inputs, torch.from_numpy(file.numbers(self.targets)).float()

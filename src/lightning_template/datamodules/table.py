"""A table: some columns are predicted from others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_template.datamodules.normalized import NormalizedDataModule
from lightning_template.engine.batches import Inputs, Samples, after_setup
from lightning_template.engine.files import (
    DataDigest,
    TableInputs,
    TableReader,
    TableSamples,
    check_columns,
    digest_of_file,
)


class TableDataModule(NormalizedDataModule):
    """Rows of a text or Parquet file: inputs `(num_inputs,)`, float, and a class index or numbers to predict.

    A column of numbers is an input as it is, one of dates in days. Text becomes categories, which are not scaled. For
    classification, targets are class indices `()`: classes are the different values of the column, text or whole
    numbers, in their order. For regression they are the table's numbers `(num_targets,)`, float.

    Args:
        path: File that ends in `.csv`, `.tsv`, `.txt` (also with `.gz`) or `.parquet`; the first line of a text names
            the columns. Separator, decimal comma and encoding are those that fit.
        targets: Name of the column to predict; for regression there may be several.
        inputs: Names of the columns to predict it from. If not given, all others are taken. Left out are an index
            of the rows, such as pandas writes, empty columns, and text that differs in most rows.
        exclude: Names of columns that are not taken.
        task: What the targets are.
        test_path: File with the same columns for the test; if not given, a fraction of the rows of `path`.
        missing: What becomes of cells without a value, which are refused if this is not given. `median` takes the
            median of the training rows, and no category for text; `indicator` also adds an input that is 1 there;
            `drop` leaves out the row.
        categories: What text becomes: a 0 or 1 for each of its categories in `path`, or the `index` of its category
            from 1, as `CategoryMLP` takes it. Another text is all 0, or 0.

    Raises:
        ValueError: If names of columns do not go together.
    """

    def __init__(
        self,
        path: str,
        targets: Sequence[str] | str,
        inputs: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        task: Literal["classification", "regression"] = "classification",
        test_path: str | None = None,
        missing: Literal["median", "drop", "indicator"] | None = None,
        categories: Literal["one-hot", "index"] = "one-hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.targets = [targets] if isinstance(targets, str) else list(targets)
        check_columns(self.targets, inputs, exclude or (), task)
        self.path = Path(path).expanduser()
        self.task = task
        self.inputs, self.exclude = inputs, exclude or ()
        self.missing, self.categories = missing, categories
        self.test_path = Path(test_path).expanduser() if test_path is not None else None
        self.columns: TableInputs | None = None
        """What turns columns into inputs, once the data are loaded."""
        self.class_names: tuple[str, ...] | None = None
        """Name of each class, once the data are loaded; None for regression."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input, once the data are loaded."""
        return self.columns.names if self.columns is not None else ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, once the data are loaded."""
        return (len(self.input_names),)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each index of a category, the last inputs, once the data are loaded."""
        return self.columns.cardinalities if self.columns is not None else ()

    @property
    def num_classes(self) -> int:
        """Number of classes, once the data are loaded."""
        return len(self.class_names or ())

    @property
    def num_targets(self) -> int:
        """Number of values to predict for each row; 0 for classification."""
        return len(self.targets) if self.task == "regression" else 0

    def load(self) -> tuple[Samples, Samples | None]:
        """Read the columns.

        Raises:
            ValueError: If a file is not such a table, lacks a column, or a cell holds something else.
        """
        samples = TableSamples(
            self.path,
            self.targets,
            inputs=self.inputs,
            exclude=self.exclude,
            task=self.task,
            missing=self.missing,
            as_index=self.categories == "index",
        )
        self.columns, self.class_names = samples.inputs, samples.class_names
        return samples.train, samples.read(self.test_path) if self.test_path is not None else None

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Measure medians, means and standard deviations; categories stay 0 and 1."""
        columns = after_setup(self.columns)
        rows = columns.fit(inputs, indices)
        super().adapt(rows, torch.arange(len(rows)))
        if self.mean is not None and self.std is not None:
            self.mean[len(columns.numbers) :], self.std[len(columns.numbers) :] = 0, 1

    def transform(self, inputs: Tensor) -> Tensor:
        """Fill in medians and scale."""
        return super().transform(after_setup(self.columns).fill(inputs))

    def data_digests(self) -> dict[str, DataDigest]:
        """Return the digests of the tables."""
        paths = {"path": self.path, "test_path": self.test_path}
        return {name: digest_of_file(path) for name, path in paths.items() if path is not None}

    def file_reader(self) -> TableReader:
        """Return a reader of the columns of the inputs."""
        return TableReader(
            lambda path, table: after_setup(self.columns).read_file(path, table),
            lambda: after_setup(self.columns).columns,
        )

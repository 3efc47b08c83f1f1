"""A task and its data in Python."""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule, LightningModule

from lightning_template.engine.callbacks.data_digests import change_of_data, describe_data
from lightning_template.engine.prediction.in_python import predict

if TYPE_CHECKING:
    from pyarrow import Table

_logger = logging.getLogger("lightning_template")


class Run:
    """A task and its data, to predict with; unpacks as `task, data = run`.

    Args:
        task: Task with its trained weights.
        data: Its data module, whose scaling and categories predictions take; None for a module with its own loaders.
        directory: Run directory. The data are set up when they are first asked for, and compared with the run's.
        options: Options of the Trainer that predicts.
    """

    def __init__(
        self,
        task: LightningModule,
        data: LightningDataModule | None = None,
        directory: Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.task = task
        self.directory = directory
        self.unread_data: Any = data
        """Data module as it was given, which may not be set up."""
        self._options = options or {}

    def __iter__(self) -> Iterator[Any]:
        return iter((self.task, self.data))

    def __repr__(self) -> str:
        where = f", directory={str(self.directory)!r}" if self.directory is not None else ""
        return f"Run(task={type(self.task).__name__}, data={type(self.unread_data).__name__}{where})"

    @cached_property
    def data(self) -> Any:
        """Data module, ready to serve all its parts if it is of a run directory."""
        if self.directory is not None and self.unread_data is not None:
            self.unread_data.prepare_data()
            for stage in ("fit", "test"):
                self.unread_data.setup(stage)
            if change := change_of_data(self.directory, describe_data(self.unread_data)):
                _logger.warning("the data may differ from those of training: %s", change)
        return self.unread_data

    @property
    def reader(self) -> Any:
        """What turns files into the data module's inputs; None if nothing does."""
        return self.unread_data.file_reader() if hasattr(self.unread_data, "file_reader") else None

    def predict(self, inputs: Any = None, *, invert: bool = False) -> "Table":
        """Return the table that the command `predict` writes, with the same names and numbers.

        It is pyarrow's, which is installed anyway and which others read: `to_pandas()`, `polars.from_arrow(table)`.

        Args:
            inputs: For tables a DataFrame of any library, a dict of columns, a list of dicts or an array. For images a
                list of PIL images, of arrays `(height, width, channels)` or of tensors `(channels, height, width)`,
                of bytes. For other data an array or tensor `(N, ...)`. For all of them the path of a file, for images
                paths and folders; or a DataLoader, whose batches the task takes as they are. If not given, the data's
                own samples for prediction, which are mostly the test set.
            invert: Whether to turn dark on light images into light on dark ones.

        Raises:
            ValueError: If the inputs are not like those of the data.
        """
        reader = self.reader if inputs is not None else None
        can_do_without = reader is not None and not reader.needs_setup  # the data may be missing on this machine
        return predict(self.task, self.unread_data if can_do_without else self.data, inputs, invert, self._options)

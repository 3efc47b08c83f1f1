"""Writes predictions to a table."""

import csv
import os
from pathlib import Path
from typing import IO, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.callbacks.run_directory import run_directory


class PredictionWriter(Callback):
    """Writes one row for each sample to `predictions.csv` in the run directory, as the batches come.

    The columns are `index`, the sample's position, and those that the task's `predict_step` returns.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._file: IO[str] | None = None
        self._num_rows = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse several ranks, each of which would see a part of the samples.

        Raises:
            ValueError: If there are several ranks.
        """
        if stage == "predict" and trainer.world_size > 1:
            raise ValueError(f"`predict` writes one table: use --trainer.devices 1, got {trainer.world_size} ranks")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open a file beside the table."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # the Trainer's parts set it
            return
        self.path = run_directory(trainer) / "predictions.csv"
        self._num_rows = 0
        self._file = self.path.with_name(f".predictions.{os.getpid()}").open("w", newline="")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the rows of a batch.

        Raises:
            ValueError: If `predict_step` did not return named columns.
        """
        if self._file is None:
            return
        if not isinstance(outputs, dict) or not all(isinstance(column, Tensor) for column in outputs.values()):
            raise ValueError(
                f"`predict_step` must return a dict of tensors to be written, got {type(outputs).__name__}"
            )
        columns = _named_columns(outputs)
        writer = csv.writer(self._file)
        if self._num_rows == 0:
            writer.writerow(["index", *columns])
        for row in zip(*columns.values(), strict=True):
            writer.writerow([self._num_rows, *row])
            self._num_rows += 1

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the table in place."""
        if self._file is not None and self.path is not None:
            self._file.close()
            Path(self._file.name).replace(self.path)
            self._file = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no half-written table."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink()
            self._file = None


def _named_columns(outputs: dict[str, Tensor]) -> dict[str, list[Any]]:
    """Split tensors `(N, num_values)` into numbered columns; one value for each sample needs no number."""
    columns: dict[str, list[Any]] = {}
    for name, values in outputs.items():
        table = values.cpu().flatten(1) if values.ndim > 1 else values.cpu().unsqueeze(1)
        for number, column in enumerate(table.T):
            columns[f"{name}_{number}" if table.shape[1] > 1 else name] = column.tolist()
    return columns

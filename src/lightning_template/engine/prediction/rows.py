"""Rows of a table of predictions."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer

from lightning_template.engine.dashboard.step_monitor import num_samples
from lightning_template.engine.prediction.columns import named_columns


class PredictionRows:
    """Makes the rows of one batch after the other, and numbers them."""

    def __init__(self) -> None:
        self._num_rows = 0
        self._loader = 0

    def of_batch(
        self, trainer: Trainer, outputs: Any, batch: Any, loader: int, files: Sequence[str] | None
    ) -> dict[str, Any]:
        """Return the columns of a batch; none if nothing was predicted.

        Args:
            trainer: Trainer that predicts.
            outputs: What `predict_step` returned.
            batch: The batch.
            loader: Index of its loader.
            files: File of each sample, if they come from several.

        Raises:
            ValueError: If no table can hold the outputs.
        """
        datamodule = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
        columns = named_columns(outputs, getattr(datamodule, "class_names", None) or (), num_samples(batch) or None)
        if not columns:
            return {}
        if loader != self._loader:
            self._loader, self._num_rows = loader, 0
        rows = range(self._num_rows, self._num_rows + len(next(iter(columns.values()))))
        first: dict[str, Any] = {"index": list(rows)}
        if len(trainer.num_predict_batches) > 1:
            first["dataloader"] = [loader] * len(rows)
        if files is not None:
            first["file"] = [files[row] for row in rows]
        self._num_rows = rows.stop
        return first | columns

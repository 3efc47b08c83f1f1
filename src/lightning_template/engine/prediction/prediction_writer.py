"""Writes predictions to a table."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.engine.callbacks.run_directory import run_directory
from lightning_template.engine.dashboard import pictures, plots
from lightning_template.engine.dashboard.kinds import images_of, unpacks
from lightning_template.engine.prediction.files_to_predict import FilesToPredict
from lightning_template.engine.prediction.outputs import named_outputs
from lightning_template.engine.prediction.rows import PredictionRows
from lightning_template.engine.prediction.table_file import TableFile
from lightning_template.engine.runs.files import put_in_place, refusal, temporary_path

_logger = logging.getLogger("lightning_template")

NUM_SHOWN = 60
"""Largest number of samples in a figure."""


class PredictionWriter(Callback):
    """Writes a table with one row for each sample, as the batches come.

    First come `index`, the sample's position, `dataloader` if there are several, and `file` if samples come from files.
    Then come the columns of what the task's `predict_step` returns. A column of integers is followed by one with the
    names of these classes, if the datamodule has them. In CSV, a text that spreadsheets would take for a formula gets a
    `'` before it. The file is `predictions.csv` in the run directory, unless `write_to` says otherwise.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.figure: Path | None = None
        self.inputs: FilesToPredict | None = None
        """Where samples come from, if not from the data module's test set."""
        self._table: TableFile | None = None
        self._rows = PredictionRows()
        self._is_asked_for = False
        self._shown: list[tuple[Tensor, Tensor]] = []

    def write_to(self, output: str | None, figure: str | None) -> None:
        """Choose the files.

        Args:
            output: CSV or Parquet file, by its extension; `predictions.csv` in the run directory if not given.
            figure: Picture to draw of the first samples and what is predicted of them; none if not given.

        Raises:
            ValueError: If a file is of another kind, or its folder is missing.
        """
        for path, kinds in ((output, (".csv", ".parquet")), (figure, (".png", ".pdf", ".svg"))):
            if path is None:
                continue
            if Path(path).suffix not in kinds:
                raise ValueError(f"the name must end in {', '.join(kinds)} to say what to write, got {path}")
            if not Path(path).parent.is_dir():
                raise ValueError(f"no folder {Path(path).parent} to write {Path(path).name} into")
        self.path = Path(output) if output else None
        self._is_asked_for = output is not None
        self.figure = Path(figure) if figure else None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse several ranks, each of which would see a part of the samples.

        Raises:
            ValueError: If there are several ranks.
        """
        if stage == "predict" and trainer.world_size > 1:
            raise ValueError(f"`predict` writes one table: use --trainer.devices 1, got {trainer.world_size} ranks")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide on a file beside the table.

        Raises:
            ValueError: If nothing can be written there.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # the Trainer's parts set it
            return
        self.path = self.path or run_directory(trainer) / "predictions.csv"
        for file, option in ((self.path, "--output"), (self.figure, "--figure")):
            if file and (reason := refusal(file.parent)):
                raise ValueError(f"cannot write {file}: {reason}; name a file elsewhere with {option}")
        self._table = TableFile(temporary_path(self.path), self.path.suffix)

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
            ValueError: If no table can hold what `predict_step` returned.
        """
        if self._table is None:
            return
        files = self.inputs.files if self.inputs is not None else None
        columns = self._rows.of_batch(trainer, outputs, batch, dataloader_idx, files)
        if not columns:
            return
        self._table.write(columns)
        if self.figure and columns["index"][0] < NUM_SHOWN:
            self._shown.append(_shown(pl_module, batch, named_outputs(outputs, len(columns["index"]))))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put table and figure in place.

        Raises:
            ValueError: If there is no figure of samples of this kind, or no table where one was asked for.
        """
        if self._table is None or self.path is None:
            return
        if not self._table.close():
            self._report_no_table(self.path)
            return
        put_in_place(self._table.path, self.path)
        if self.figure:
            datamodule = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
            inputs, predictions = (torch.cat(parts)[:NUM_SHOWN] for parts in zip(*self._shown, strict=True))
            _draw(inputs, predictions, getattr(datamodule, "class_names", None) or ()).savefig(self.figure)

    def _report_no_table(self, path: Path) -> None:
        self.path = None
        line = f"{path} is not written: there are no samples, or `predict_step` returns nothing"
        if self._is_asked_for:
            raise ValueError(line)
        _logger.warning("%s", line)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no half-written table."""
        if self._table is not None:
            self._table.discard()


def _shown(pl_module: LightningModule, batch: Any, outputs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return what a figure shows of a batch: inputs, or the images among them, and predictions.

    Raises:
        ValueError: If there is none.
    """
    inputs = batch if isinstance(batch, Tensor) else batch[0] if isinstance(batch, list | tuple) else batch
    predictions = outputs.get("probability_of", next(iter(outputs.values())))
    if unpacks(pl_module) and not isinstance(batch, Tensor):
        inputs = pl_module.unpack(batch)[0]  # type: ignore[operator]  # a task's
    if not isinstance(inputs, Tensor):
        inputs = images_of(inputs, len(predictions))
    if inputs is None or not isinstance(predictions, Tensor):
        raise ValueError("there is no figure of samples of this kind: leave out --figure")
    return inputs.cpu(), predictions.cpu()


def _draw(inputs: Tensor, predictions: Tensor, class_names: Sequence[str]) -> Any:
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3) and predictions.ndim == 2:
        names = class_names or [str(index) for index in range(predictions.shape[1])]
        return pictures.images(inputs, predictions, None, names)
    if inputs[0].numel() == predictions[0].numel() == 1:
        return plots.curve(inputs, predictions)
    raise ValueError(f"there is no figure of inputs {tuple(inputs.shape)}: leave out --figure; the table is written")

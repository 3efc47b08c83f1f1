"""Predictions in Python: the table of `predict`, without a run directory."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from lightning_template.engine.prediction.columns import named_columns
from lightning_template.engine.prediction.files_to_predict import FilesToPredict, ObjectsToPredict

if TYPE_CHECKING:
    from pyarrow import Table


def predict(
    task: LightningModule, data: LightningDataModule | None, given: Any, invert: bool, options: Mapping[str, Any]
) -> "Table":
    """Return the table that the command `predict` writes, with a row for each sample.

    A Trainer makes it, so that all hooks of task and data are called as by the command.

    Args:
        task: Task.
        data: Its data module, if it has one.
        given: Inputs in Python, paths or a DataLoader; None for the samples that the data module serves.
        invert: Whether to turn dark on light images into light on dark ones.
        options: Options of the Trainer.

    Raises:
        ValueError: If the inputs do not fit the data, or the task returns no columns.
    """
    served, inputs = copy.copy(data), None
    if isinstance(given, DataLoader):
        served = served or LightningDataModule()
        vars(served)["predict_dataloader"] = lambda: given
    elif given is not None:
        served, inputs = _serve(served, given, invert)
    with _quiet():
        trainer = Trainer(
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        batches = trainer.predict(task, datamodule=served) or []
    if batches and isinstance(batches[0], list):  # of several loaders
        batches = [batch for part in batches for batch in part]
    return _table(batches, getattr(data, "class_names", None) or (), inputs.files if inputs else None)


def _serve(
    data: LightningDataModule | None, given: Any, invert: bool
) -> tuple[LightningDataModule | None, ObjectsToPredict]:
    paths = given if isinstance(given, list | tuple) else [given]
    if paths and all(isinstance(path, str | Path) for path in paths):
        return data, FilesToPredict(data, [str(Path(path).expanduser()) for path in paths], invert)
    data = data or LightningDataModule()
    return data, ObjectsToPredict(data, given, invert)


def _table(batches: list[Any], class_names: Any, files: list[str] | None) -> "Table":
    import pyarrow  # not needed to train

    parts = [columns for batch in batches if (columns := named_columns(batch, class_names))]
    if not parts:
        raise ValueError("there are no samples, or `predict_step` returns nothing")
    tables = [pyarrow.table(part) for part in parts]
    table = pyarrow.concat_tables(tables).combine_chunks()
    first = {"index": pyarrow.array(range(len(table)))} | ({"file": pyarrow.array(files)} if files is not None else {})
    return pyarrow.table(first | {name: table[name] for name in table.column_names})


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Lightning says about devices and workers at each call."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in ("lightning.pytorch", "lightning")}
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)

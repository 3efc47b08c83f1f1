"""Predictions in Python: the table of `predict`, without a run directory."""

import copy
import itertools
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_template.engine.batches import tensor_of
from lightning_template.engine.nests import tensors_of
from lightning_template.engine.prediction.files_to_predict import FilesToPredict, ObjectsToPredict
from lightning_template.engine.prediction.rows import PredictionRows
from lightning_template.engine.prediction.table_file import joined

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
    rows = _Rows(inputs)
    try:
        _run(task, served, rows, options)
    except MisconfigurationException as error:  # there is no loader
        raise ValueError(str(error).splitlines()[0]) from error
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise _explained(error, task, data, given) from error
    if not rows.parts:
        raise ValueError("there are no samples, or `predict_step` returns nothing")
    return joined(rows.parts).combine_chunks()


def _run(task: LightningModule, data: LightningDataModule | None, rows: Callback, options: Mapping[str, Any]) -> None:
    off: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    with _quiet():
        trainer = Trainer(devices=1, callbacks=[rows], **off, **options)
        trainer.predict(task, datamodule=data, return_predictions=False)


def _serve(
    data: LightningDataModule | None, given: Any, invert: bool
) -> tuple[LightningDataModule | None, ObjectsToPredict]:
    paths = given if isinstance(given, list | tuple) else [given]
    if paths and all(isinstance(path, str | Path) for path in paths):
        return data, FilesToPredict(data, [str(Path(path).expanduser()) for path in paths], invert)
    data = data or LightningDataModule()
    return data, ObjectsToPredict(data, given, invert)


def _explained(error: Exception, task: LightningModule, data: LightningDataModule | None, given: Any) -> Exception:
    """Return the error that names what was given and what the loaders serve, if that is another shape or dtype."""
    if hasattr(data, "file_reader"):  # it has said what does not fit
        return error
    served = next(_first_tensors([data, task]), None)
    try:
        tensor = tensor_of(given)
    except ValueError:
        return error
    if served is None or (served.shape[1:], served.dtype) == (tensor.shape[1:], tensor.dtype):
        return error
    return ValueError(
        f"inputs {tensor.dtype} {tuple(tensor.shape)} do not fit the task, whose loaders serve {served.dtype} "
        f"{tuple(served.shape)}: {str(error).splitlines()[0]}"
    )


def _first_tensors(sources: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the first tensor of each loader that can be had: mostly the inputs."""
    for source, name in itertools.product(sources, ("predict", "test", "val", "train")):
        with suppress(Exception):  # of anybody's hooks, which may not be set up
            loaders = getattr(source, f"{name}_dataloader")()
            yield tensors_of(next(iter(loaders[0] if isinstance(loaders, list) else loaders)))[0]


class _Rows(Callback):
    """Keeps the rows that `PredictionWriter` writes."""

    def __init__(self, inputs: ObjectsToPredict | None) -> None:
        self.parts: list[Any] = []
        self._inputs = inputs
        self._rows = PredictionRows()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep those of a batch."""
        import pyarrow  # not needed to train

        files = self._inputs.files if self._inputs is not None else None
        if columns := self._rows.of_batch(trainer, outputs, batch, dataloader_idx, files):
            self.parts.append(pyarrow.table(columns))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Lightning says about devices and workers at each call."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in ("lightning.pytorch", "lightning")}
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers")
            warnings.filterwarnings("ignore", r".*`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)

"""Tasks and data of configurations and runs, in Python."""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule, LightningModule

from lightning_template.engine.callbacks.data_digests import change_of_data, describe_data
from lightning_template.engine.cli.command_line import read_config
from lightning_template.engine.cli.parser import TemplateParser
from lightning_template.engine.prediction import predict
from lightning_template.engine.process.errors import shorten
from lightning_template.engine.runs.checkpoints import check_checkpoint
from lightning_template.engine.runs.resolve import resolve_checkpoint, run_of

if TYPE_CHECKING:
    from pyarrow import Table

__all__ = ["Run", "load_config", "load_run"]

_logger = logging.getLogger("lightning_template")


def load_config(path: str | Path) -> tuple[LightningModule, LightningDataModule | None]:
    """Return the untrained task of a configuration, and its data, which are not read yet.

    Args:
        path: YAML file with the keys `model` and `data`; a module with its own loaders needs no `data`.

    Raises:
        ValueError: If it is no such file, or a constructor refuses its arguments.
    """
    parser = TemplateParser(exit_on_error=False)
    parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True)
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True, required=False)
    config = read_config(Path(path))
    if "model" not in config:
        raise ValueError(f"{path} must say what to build under `model`")
    try:
        given = {key: config[key] for key in ("model", "data") if config.get(key) is not None}
        classes = parser.instantiate_classes(parser.parse_object(given))
    except ArgumentError as error:
        raise ValueError(f"{path}: {shorten(str(error), [])}") from error
    return classes.model, classes.get("data")


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
        self._data: Any = data
        self._options = options or {}

    def __iter__(self) -> Iterator[Any]:
        return iter((self.task, self.data))

    @cached_property
    def data(self) -> Any:
        """Data module, ready to serve all its parts if it is of a run directory."""
        if self.directory is not None and self._data is not None:
            self._data.prepare_data()
            for stage in ("fit", "test"):
                self._data.setup(stage)
            if change := change_of_data(self.directory, describe_data(self._data)):
                _logger.warning("the data may differ from those of training: %s", change)
        return self._data

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
        reader = self._data.file_reader() if inputs is not None and hasattr(self._data, "file_reader") else None
        can_do_without = reader is not None and not reader.needs_setup  # the data may be missing on this machine
        return predict(self.task, self._data if can_do_without else self.data, inputs, invert, self._options)


def load_run(
    path: str | Path,
    prefer: str = "best",
    task: LightningModule | None = None,
    data: LightningDataModule | None = None,
) -> Run:
    """Return a run: its task, on the CPU and in evaluation mode, with the trained weights, and its data.

    The classes to build are those of the run's `config.yaml`; a checkpoint holds numbers only.

    Args:
        path: Run directory, or one of its checkpoints.
        prefer: Which checkpoint of a directory to take, `best` or `last`; the other one if there is none.
        task: Task to load the weights into, for a run of objects made in Python, which has no `config.yaml`.
        data: Its data.

    Raises:
        ValueError: If there is no such run or checkpoint, or it is damaged or of another architecture.
    """
    if not Path(path).exists():
        raise ValueError(f"no run directory or checkpoint {path}")
    checkpoint = resolve_checkpoint(str(path), Path(), "", prefer, needs_config=task is None)
    run, options = None, {}
    if task is None:
        run = run_of(checkpoint)
        if run is None:
            raise ValueError(f"{checkpoint} does not lie in a run directory, whose config.yaml says what it is of")
        task, data = load_config(run / "config.yaml")
        options = _options_of(read_config(run / "config.yaml"))
    task.configure_model()
    check_checkpoint(checkpoint, task)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    task.load_state_dict(weights, strict=task.strict_loading)
    return Run(task.eval(), data, run, options)


def _options_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run's Trainer that its predictions depend on; a GPU that is not here is not asked for."""
    options = config.get("trainer") or {}
    cpu = {"accelerator": "cpu"} if options.get("accelerator") == "cpu" else {}
    return cpu | ({"precision": options["precision"]} if options.get("precision") else {})

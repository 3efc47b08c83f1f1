"""Tasks and data of configurations and runs, in Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule, LightningModule

from lightning_template.engine.cli.command_line import read_config
from lightning_template.engine.cli.fill_sizes import fill_sizes
from lightning_template.engine.cli.parser import TemplateParser
from lightning_template.engine.cli.trainer_in_python import run_options
from lightning_template.engine.prediction import Run
from lightning_template.engine.process.errors import shorten
from lightning_template.engine.runs.checkpoints import check_checkpoint
from lightning_template.engine.runs.resolve import resolve_checkpoint, run_of

__all__ = ["Run", "load_config", "load_data", "load_run", "run_options"]


def load_config(path: str | Path) -> tuple[LightningModule, LightningDataModule | None]:
    """Return the untrained task of a configuration, and its data, which are read only if the task lacks a size.

    Args:
        path: YAML file with the keys `model` and `data`; a module with its own loaders needs no `data`.

    Raises:
        ValueError: If it is no such file, a constructor refuses its arguments, or the data do not tell a size.
    """
    return _make(path, ("model", "data"))


def load_data(path: str | Path) -> LightningDataModule:
    """Return the data of a configuration, which are not read yet; arguments and errors are those of `load_config`."""
    data: LightningDataModule = _make(path, ("data",))[1]
    return data


def _make(path: str | Path, keys: Sequence[str]) -> tuple[Any, Any]:
    parser = TemplateParser(exit_on_error=False)
    for key in keys:
        kind = LightningModule if key == "model" else LightningDataModule
        parser.add_lightning_class_args(kind, key, subclass_mode=True, required=False)
    config = read_config(Path(path))
    given = {key: config[key] for key in keys if config.get(key) is not None}
    if keys[0] not in given:
        raise ValueError(f"{path} must say what to build under `{keys[0]}`")
    try:
        parsed = parser.parse_object(given)
        only_data = parsed.clone()
        only_data.pop("model", None)
        make_data = (lambda: parser.instantiate_classes(only_data).data) if "data" in given else None
        data = fill_sizes(parsed, make_data)
        if data is not None:
            parsed.pop("data")
        made = parser.instantiate_classes(parsed)
    except ArgumentError as error:
        raise ValueError(f"{path}: {shorten(str(error), {})}") from error
    return made.get("model"), data or made.get("data")


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
        data: Data to take in place of those of `config.yaml`.

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
        task, its_data = load_config(run / "config.yaml")
        data = data or its_data
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

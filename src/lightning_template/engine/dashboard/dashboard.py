"""Charts, hyper-parameters, texts and the network's graph in TensorBoard."""

import io
import json
import math
import re
import shlex
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_template.engine.callbacks.best_and_last import BestAndLast
from lightning_template.engine.callbacks.observer import Observer, untouched
from lightning_template.engine.callbacks.run_directory import find_run_directory
from lightning_template.engine.callbacks.tensorboard import experiments
from lightning_template.engine.callbacks.watched import is_better
from lightning_template.engine.dashboard.kinds import unpacks
from lightning_template.engine.libraries.lightning_trainer import batches_that_stepped, logged_in_validation, tracing
from lightning_template.engine.nests import map_tensors, tensors_of
from lightning_template.engine.runs.changes import class_options, flatten
from lightning_template.engine.runs.directories import read_json
from lightning_template.engine.runs.names import of_other_stage, pairs

RECIPE_OPTIONS = (
    "accumulate_grad_batches",
    "gradient_clip_val",
    "limit_train_batches",
    "max_epochs",
    "max_steps",
    "precision",
)
"""Options of the Trainer that belong to a recipe; the others say where and how it runs."""


class Dashboard(Observer):
    """Fills TensorBoard's Custom Scalars, HPARAMS, Text and Graphs.

    HPARAMS has the configuration as columns, those first in which runs differ, and beside it the last value of each
    scalar: above all `best/...`, what the validation metrics were when the task's `monitor` was best.

    Args:
        graph: Whether to show the graph of the network.
    """

    def __init__(self, graph: bool = True) -> None:
        self.graph = graph
        self.best: dict[str, float] = {}
        self._is_arranged = False

    def state_dict(self) -> dict[str, Any]:
        """Return the metrics of the best validation so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show what explains the run."""
        self.guard("texts of the dashboard", _add_texts, trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the network's graph, once there are inputs to follow through it."""
        if self.graph and batches_that_stepped(trainer) == 0:
            self.graph = False
            self.guard("the network's graph", _add_graph, trainer, pl_module, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the metrics of the best validation so far."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        monitor, mode = _watched(trainer, pl_module)
        names = logged_in_validation(trainer)
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name in (*names, monitor)}
        if monitor not in metrics:
            return
        score = metrics[monitor]
        if math.isfinite(score) and (monitor not in self.best or is_better(score, self.best[monitor], mode)):
            self.best = metrics
        for logger in trainer.loggers:
            step = batches_that_stepped(trainer)
            logger.log_metrics({f"best/{name}": value for name, value in self.best.items()}, step=step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Arrange charts and hyper-parameters, once it is known what is logged."""
        if not self._is_arranged:
            self._is_arranged = True
            self.guard("charts of the dashboard", _add_charts, trainer)
            self.guard("hyper-parameters of the dashboard", _add_hyper_parameters, trainer)


def _watched(trainer: Trainer, pl_module: LightningModule) -> tuple[str | None, str | None]:
    """Return what says which weights are best, and whether its smallest or largest value: as the checkpoint has it."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # the Trainer's parts set it
        if isinstance(callback, BestAndLast):
            callback.choose_monitor(trainer)
            return callback.monitor, callback.mode
    return getattr(pl_module, "monitor", None), getattr(pl_module, "mode", None)


def _add_texts(trainer: Trainer) -> None:
    for experiment in experiments(trainer):
        for name, text in _texts(trainer).items():
            experiment.add_text(name, text, batches_that_stepped(trainer))


def _add_charts(trainer: Trainer) -> None:
    for experiment in experiments(trainer):
        experiment.add_custom_scalars(_charts(trainer.callback_metrics))


def _add_hyper_parameters(trainer: Trainer) -> None:
    from torch.utils.tensorboard.summary import hparams  # takes a second: imports tensorboard

    values = hyper_parameters(yaml.safe_load(_files(trainer).get("config.yaml", "{}")))
    for experiment in experiments(trainer):
        # The first would give all runs the columns of one of them; without it TensorBoard collects those of each.
        for summary in hparams(values, {})[1:]:  # type: ignore[no-untyped-call]
            experiment.file_writer.add_summary(summary)


def hyper_parameters(config: Mapping[str, Any]) -> dict[str, str | float]:
    """Return what a person compares of a configuration, under one key each.

    Example:
        >>> hyper_parameters({"seed_everything": 0, "model": {"class_path": "a.Task", "init_args": {"sizes": [8, 8]}}})
        {'seed_everything': 0, 'model': 'Task', 'model.sizes': '8, 8'}
    """
    values: dict[str, str | float] = {}
    classes = class_options(config)
    for key, value in flatten(config).items():
        room, _, name = key.partition(".")
        if value is None or room not in ("seed_everything", "model", "data", "trainer"):
            continue
        if (room == "trainer" and name not in RECIPE_OPTIONS) or key == "data.data_dir":
            continue
        if isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value))
        elif isinstance(value, (bool, dict)):
            value = json.dumps(value)  # torch 2.15 writes booleans as numbers
        values[key] = value.rpartition(".")[2] if isinstance(value, str) and key in classes else value
    return values


def _charts(names: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Return a layout in which training and validation share a chart for each quantity whose names pair up."""
    found = pairs(names)
    return {
        "learning": {
            title: ["Multiline", _tags(by_stage)]
            for title, by_stage in found.items()
            if not (title.endswith("_step") and title.removesuffix("_step") in found)
        },
        "optimizer": {
            "learning rate": ["Multiline", ["optimizer/lr"]],
            "gradient norm": ["Multiline", ["optimizer/gradient_norm"]],
        },
        "machine": {
            "samples a second": ["Multiline", ["speed/samples_per_second"]],
            "memory, MB": ["Multiline", ["memory/.*"]],
        },
    }


def _tags(by_stage: Mapping[str | None, list[str]]) -> list[str]:
    """Return patterns of the curves of a quantity; those of training or validation may come later."""
    tags = [f"{re.escape(name)}$" for names in by_stage.values() for name in names]
    if "val" not in by_stage:
        return tags + [of_other_stage(name) for name in by_stage.get("train", [])]
    return tags if "train" in by_stage else [of_other_stage(by_stage["val"][0]), *tags]


def _texts(trainer: Trainer) -> dict[str, str]:
    files = _files(trainer)
    directory = find_run_directory(trainer)
    environment = read_json(directory.run / "environment.json") if directory and directory.run else {}
    words = [shlex.quote(word) for word in environment.pop("command", [])]
    command = " ".join(f"\\\n  {word}" if word.startswith("--") else word for word in words)
    texts = {
        "command": command,
        "overrides": files.get("overrides.yaml", ""),
        "environment": yaml.safe_dump(environment, sort_keys=False) if environment else "",
        "config": files.get("config.yaml", ""),
    }
    return {name: "".join(f"    {line}\n" for line in text.splitlines()) for name, text in texts.items() if text}


def _files(trainer: Trainer) -> Mapping[str, str]:
    directory = find_run_directory(trainer)
    return directory.files if directory else {}


def _add_graph(trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
    printed = redirect_stdout(io.StringIO())  # torch prints an error before it raises it
    with untouched(pl_module), tracing(), printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.15 calls its tracing, which TensorBoard's graph needs, deprecated
        for experiment in experiments(trainer):
            if found := _traced(pl_module, batch):
                experiment.add_graph(*found)


def _traced(pl_module: LightningModule, batch: Any) -> tuple[nn.Module, Any] | None:
    """Return what tracing calls, and with what; None if inputs are unknown."""
    if pl_module.example_input_array is not None:
        return pl_module, pl_module.example_input_array
    inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
    if unpacks(pl_module):
        inputs = pl_module.unpack(batch)[0]  # type: ignore[operator]  # a task's
        if isinstance(inputs, Tensor):
            inputs = inputs[:1]
        if not (isinstance(inputs, Tensor) and isinstance(pl_module(inputs), Tensor)):
            return OfTensors(pl_module, inputs), tuple(tensors_of(inputs))
    return (pl_module, inputs[:1]) if isinstance(inputs, Tensor) else None


class OfTensors(nn.Module):
    """A module as a function of tensors, which returns tensors: tracing takes nothing else.

    Args:
        module: The module.
        inputs: Inputs, in which tensors are exchanged.
    """

    def __init__(self, module: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.module = module
        self.inputs = inputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors within the outputs for inputs made of these tensors."""
        waiting = iter(tensors)
        return tuple(tensors_of(self.module(map_tensors(lambda _: next(waiting), self.inputs))))

"""Description of an exported task, which its files hold."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_template import __version__
from lightning_template.engine.prediction import Run
from lightning_template.engine.runs.directories import METRICS_FILE, read_json
from lightning_template.engine.runs.records import best_of, floats_of
from lightning_template.engine.sharing.predictor import Prediction
from lightning_template.engine.sharing.samples import Samples

Axes = tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
"""For each input, and for each output, the axes of any size."""


def describe(run: Run, checkpoint: Path, samples: Samples, prediction: Prediction, axes: Axes) -> dict[str, Any]:
    """Return what others need to know of an exported task, as values of JSON.

    Returns:
        `run`, `checkpoint`, `task`, `network`, `data`, `inputs`, `outputs`, `classes`, `columns`, `categories`,
        `image`, `metrics`, `environment`, `configuration` (the text of `config.yaml`) and the version of this package.
    """
    directory = run.directory
    assert directory is not None
    data = run.unread_data
    classes = getattr(data, "class_names", None)
    (first, *_) = prediction.inputs.values()
    return {
        "run": f"{directory.absolute().parent.name}/{directory.name}",
        "checkpoint": checkpoint.name,
        "task": type(run.task).__name__,
        "network": type(getattr(run.task, "network", run.task)).__name__,
        "data": type(data).__name__ if data is not None else None,
        "inputs": _signatures(prediction.inputs, axes[0]),
        "outputs": _signatures(prediction.outputs, axes[1]),
        "classes": list(map(str, classes)) if isinstance(classes, Sequence) else [],
        "columns": _columns(data, first.shape[-1]),
        "categories": {name: list(map(str, values)) for name, values in _categories(data).items()},
        "image": dict(samples.image),
        "metrics": _metrics(directory),
        "environment": read_json(directory / "environment.json"),
        "configuration": _text(directory / "config.yaml"),
        "lightning_template": __version__,
    }


def _signatures(tensors: Mapping[str, Tensor], axes: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Return name, dtype and shape of tensors; axes of any size are the batch and the length of sequences."""
    return [
        {
            "name": name,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": [_size(axis, size, moving) for axis, size in enumerate(tensor.shape)],
        }
        for (name, tensor), moving in zip(tensors.items(), axes, strict=True)
    ]


def _size(axis: int, size: int, moving: Sequence[int]) -> int | str:
    return size if axis not in moving else "length" if axis else "batch"


def _columns(data: Any, width: int) -> list[str]:
    """Return the name of each input of a table; those that tell where a number lacks a value come last."""
    names = list(map(str, getattr(data, "input_names", ())))
    flags = [f"{name} has no value" for name in names[: max(0, width - len(names))]]
    return names + flags if names and len(names) + len(flags) == width else []


def _categories(data: Any) -> Mapping[str, Sequence[str]]:
    found = getattr(getattr(data, "columns", None), "categories", {})
    return found if isinstance(found, Mapping) else {}


def _metrics(run: Path) -> dict[str, dict[str, Any]]:
    """Return the best score, and the metrics of the end and of the test."""
    metrics = read_json(run / METRICS_FILE)
    best = best_of(metrics)
    found = {name: floats_of(metrics.get(name)) for name in ("final", "test")}
    return ({"best": {best["monitor"]: best["best_score"]}} if best else {}) | {k: v for k, v in found.items() if v}


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text("utf-8")
    return ""

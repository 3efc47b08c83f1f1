"""A run's predictions on its validation set, with the best weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lightning_template.engine.batches import TensorBatches
from lightning_template.engine.dashboard.kinds import are_numbers, images_of, is_classification, pair, probabilities
from lightning_template.engine.nests import map_tensors
from lightning_template.engine.prediction import Run

NUM_WORST = 12
"""Number of samples that are listed as the worst mistakes."""


@dataclass
class Validation:
    """What a task predicts on its validation set.

    Attributes:
        first: Inputs, predictions and targets of the first batch.
        predictions: Probabilities `(N, num_classes)`, or numbers `(N,)`; None for other kinds of tasks.
        targets: Class indices or numbers `(N,)`.
        is_classification: Whether targets are classes.
        names: Names of the classes.
        worst: Places of the worst mistakes in the validation set, the worst first.
        images: Their images, if inputs are images.
        sources: File or index of each sample of the validation set.
    """

    first: tuple[Any, Any, Any]
    predictions: Tensor | None = None
    targets: Tensor | None = None
    is_classification: bool = False
    names: Sequence[str] = ()
    worst: list[int] = field(default_factory=list)
    images: Tensor | None = None
    sources: Sequence[str] = ()


def validate(run: Run) -> Validation:
    """Predict a run's validation set.

    Raises:
        ValueError: If there is none, or the module is no task, whose `predict` would say what to compare.
    """
    task: Any = run.task
    if not hasattr(task, "predict"):
        raise ValueError("the module has no `predict`, which would say what to compare with the targets")
    seen: list[tuple[Tensor, Tensor]] = []
    found: Validation | None = None
    with torch.no_grad():
        for batch in _batches(run):
            if (samples := pair(task, batch)) is None:
                raise ValueError("batches have no targets")
            inputs, targets = samples
            predictions = map_tensors(Tensor.float, task.predict(task(inputs)))
            found = found or Validation((inputs, predictions, targets))
            if not (is_classification(predictions, targets) or are_numbers(predictions, targets)):
                return found
            seen.append((predictions, targets))
    if found is None:
        raise ValueError("the run has no validation set")
    _rank(found, seen, run)
    return found


def _rank(found: Validation, seen: Sequence[tuple[Tensor, Tensor]], run: Run) -> None:
    """Put the predictions of all batches together, and find the worst."""
    predictions, targets = (torch.cat(parts) for parts in zip(*seen, strict=True))
    found.is_classification = is_classification(predictions, targets)
    if found.is_classification:
        predictions = probabilities(predictions)
        names = getattr(run.data, "class_names", None)
        known = [str(name) for name in names] if isinstance(names, Sequence) else []
        number = predictions.shape[1]
        found.names = known[:number] if len(known) >= number else [str(index) for index in range(number)]
        loss = 1 - predictions.gather(1, targets.unsqueeze(1)).flatten()
        loss = loss.where(predictions.argmax(1) != targets, -1.0)  # what is right is no mistake
    else:
        predictions, targets = predictions.flatten(), targets.flatten()
        loss = (predictions - targets).abs()
    order = loss.argsort(descending=True, stable=True)[:NUM_WORST]
    found.predictions, found.targets = predictions, targets
    found.worst = order[loss[order] > 0].tolist()
    found.sources = _sources(run.data, len(targets))
    found.images = _images(run, found.worst) if found.is_classification else None


def _batches(run: Run) -> Iterator[Any]:
    owner: Any = run.data if run.data is not None else run.task
    loaders = owner.val_dataloader()
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    yield from loaders[0] if loaders else ()  # of several sets the first, as the dashboard shows


def _images(run: Run, places: Sequence[int]) -> Tensor | None:
    """Return the images at some places of the validation set, in their order; None if inputs are no images."""
    start, found = 0, dict[int, Tensor]()
    for batch in _batches(run):
        inputs, targets = pair(run.task, batch) or (None, ())
        images = images_of(inputs, len(targets))
        if images is None:
            return None
        inside = [place for place in places if start <= place < start + len(images)]
        found |= {place: images[place - start] for place in inside}
        start += len(images)
    return torch.stack([found[place] for place in places]) if found else None


def _sources(data: Any, number: int) -> list[str]:
    """Return the file of each validation sample, or its index in the data set, or else its place."""
    part = getattr(data, "val_set", None)
    if not isinstance(part, TensorBatches) or len(part) != number:
        return [str(place) for place in range(number)]
    paths = getattr(part.inputs, "paths", None) or _paths(data, len(part.inputs))
    return [paths[index] if paths else str(index) for index in part.indices.tolist()]


def _paths(data: Any, number: int) -> Sequence[str]:
    """Return the files of images that were decoded into memory; none if they are not as many."""
    if not hasattr(getattr(data, "files", None), "find"):
        return []
    parts = data.files.find(data.input_shape)
    name = "val" if "val" in parts else "test" if data.val_on_test else "train"
    paths: Sequence[str] = parts[name][0].paths if name in parts else []
    return paths if len(paths) == number else []

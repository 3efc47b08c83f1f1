"""Real samples of a run, as its data store them."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from lightning_template.engine.batches import TensorBatches
from lightning_template.engine.dashboard.kinds import unpacks
from lightning_template.engine.nests import map_tensors, tensors_of
from lightning_template.engine.prediction import Run
from lightning_template.engine.sharing.arguments import forward_arguments
from lightning_template.tasks import PairsTask

NUM_SAMPLES = 64
"""Number of samples that an exported file has to predict as the task does."""


def _same(inputs: Any) -> Any:
    return inputs


@dataclass(frozen=True)
class Samples:
    """Inputs of samples.

    Attributes:
        inputs: A tensor `(N, ...)`, or what holds tensors; of a module that is no task, the arguments of `forward`.
        source: Where they come from, in words.
        transform: Turns them into what the network takes.
        names: Names of the tensors, if they have any.
        image: Channels, height and width of images that come from files, and whether they are fitted in whole.
        batch: Batch of a module that does not say what of it are inputs.
    """

    inputs: Any
    source: str
    transform: Callable[[Any], Any] = _same
    names: Sequence[str] = ()
    image: Mapping[str, Any] = field(default_factory=dict)
    batch: Any = None


def samples_of(run: Run) -> Samples:
    """Return samples of a run's data set; of an image's shape alone where the files of the data are not here.

    Raises:
        ValueError: If there are none, and nothing tells their shape.
    """
    reader = run.reader
    image = {"shape": list(reader.shape), "whole": reader.whole} if hasattr(reader, "shape") else {}
    try:
        data = run.data
    except Exception as error:  # of files that are not on this machine
        if image and not reader.needs_setup:
            made = torch.randint(256, (NUM_SAMPLES, *image["shape"]), dtype=torch.uint8)
            return Samples(made, "made-up images, as the data are not here", run.unread_data.transform, image=image)
        raise ValueError(f"the run's data are needed for its scaling and for samples: {error}") from error
    if stored := list(_stored(data)):
        inputs = _at_least_two(torch.cat(stored))
        inputs = inputs.reshape(-1, *image["shape"]) if image else inputs
        return Samples(_of_prediction(run.task, inputs), "samples of the data set", data.transform, image=image)
    return _served(run.task, data)


def _of_prediction(task: LightningModule, inputs: Any) -> Any:
    """Return what a task predicts of: one view of a pair."""
    return inputs[:, 0].contiguous() if isinstance(task, PairsTask) else inputs


def _stored(data: Any) -> Iterator[Tensor]:
    """Yield the first inputs that each part of a data module of this package stores."""
    for name in ("test_set", "val_set", "train_set"):
        part = getattr(data, name, None)
        if isinstance(part, TensorBatches) and len(part):
            yield part.inputs.index_select(0, part.indices[:NUM_SAMPLES]).cpu()


def _served(task: LightningModule, data: LightningDataModule | None) -> Samples:
    """Return inputs of the first batch that anybody's loaders serve."""
    batch = next(_batches((data, task)), None)
    source = "samples of the data set"
    if batch is None and (batch := task.example_input_array) is not None:
        source = "the module's example inputs"
    if batch is None:
        raise ValueError("the run's data serve no batch, and the module has no `example_input_array`")
    batch = map_tensors(lambda tensor: _at_least_two(tensor.detach().cpu()) if tensor.ndim else tensor, batch)
    if unpacks(task):
        inputs = batch if isinstance(batch, Tensor) else task.unpack(batch)[0]  # type: ignore[operator]  # a task's
        names = list(map(str, inputs)) if isinstance(inputs, Mapping) else []
        return Samples(_of_prediction(task, inputs), source, names=names)
    names, arguments = forward_arguments(task, batch)
    return Samples(arguments, source, names=names, batch=batch)


def _batches(sources: Sequence[Any]) -> Iterator[Any]:
    for source, name in itertools.product(sources, ("predict", "test", "val", "train")):
        with suppress(Exception):  # of anybody's hooks, which may not be set up
            loaders = getattr(source, f"{name}_dataloader")()
            batch = next(iter(loaders[0] if isinstance(loaders, list) else loaders))
            if tensors_of(batch):
                yield batch


def _at_least_two(tensor: Tensor) -> Tensor:
    """Return the first samples; one alone twice, as `torch.export` takes a size of 1 for fixed."""
    return torch.cat([tensor, tensor]) if len(tensor) == 1 else tensor[:NUM_SAMPLES]

"""A run's predictions as a function of tensors, which can be exported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lightning_template.engine.dashboard.kinds import unpacks
from lightning_template.engine.nests import map_tensors, tensors_of
from lightning_template.engine.prediction.outputs import NAME, named_outputs
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.sharing.samples import Samples

Function = Callable[[Any, Any], Any]
"""What a task predicts for what its network takes."""


class Predictor(nn.Module):
    """Maps tensors of inputs, as the data store them, to tensors of predictions.

    Args:
        task: Task, in evaluation mode.
        samples: Inputs, whose tensors are exchanged for those given.
        predict: What the task predicts for what its network takes.
    """

    def __init__(self, task: LightningModule, samples: Samples, predict: Function) -> None:
        super().__init__()
        self.task = task
        self.places: dict[str, int] = {}
        """Place of each output among the tensors that are predicted, by name, once `learn_names` was called."""
        self._samples = samples
        self._predict = predict

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the predictions for samples `(N, ...)`, in the order of `places`."""
        found = tensors_of(self._outputs(tensors))
        return tuple(found[place] for place in self.places.values())

    def _outputs(self, tensors: Sequence[Tensor]) -> Any:
        waiting = iter(tensors)
        inputs = map_tensors(lambda _: next(waiting), self._samples.inputs)
        return self._predict(self.task, self._samples.transform(inputs))

    def with_task(self, task: LightningModule) -> "Predictor":
        """Return the same function of another task."""
        other = Predictor(task, self._samples, self._predict)
        other.places = self.places
        return other

    def learn_names(self, tensors: Sequence[Tensor]) -> bool:
        """Find the outputs with a row for each sample, by predicting some samples, and tell whether all are tensors.

        No size of a tensor may be looked at while torch follows `forward`: it would be taken for fixed.
        """
        number = len(tensors[0])
        outputs = self._outputs(tensors)
        places = {id(tensor): place for place, tensor in enumerate(tensors_of(outputs))}
        for name, values in named_outputs(outputs, number).items():
            parts = tensors_of(values)
            rows = [places.get(id(part)) for part in parts if part.ndim and len(part) == number]
            if None in rows or (not parts and values is not None):
                return False
            self.places |= {str(name) if len(rows) == 1 else f"{name}_{i}": row for i, row in enumerate(rows)}  # type: ignore[misc]
        return bool(self.places)


@dataclass(frozen=True)
class Prediction:
    """What is exported.

    Attributes:
        module: The function.
        inputs: Real inputs by name, with a row for each sample.
        outputs: What the task predicts for them, by name.
    """

    module: Predictor
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def prediction_of(task: LightningModule, samples: Samples) -> Prediction:
    """Return a task's prediction as a function of tensors.

    Outputs are the columns that `predict` writes where these are tensors, and otherwise what the task's `predict`
    returns, or else its `forward`.

    Raises:
        ValueError: If no function of tensors makes them, or two calls differ.
    """
    tensors = tensors_of(samples.inputs)
    sizes = {len(tensor) if tensor.ndim else 0 for tensor in tensors}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError("the task cannot be exported: its inputs are not tensors with a row for each sample")
    problem = "its predictions are not tensors with a row for each sample"
    for predict in _functions(task, samples):
        module = Predictor(task, samples, predict)
        with torch.no_grad():
            try:
                if not module.learn_names(tensors):
                    continue
                found, again = module(*tensors), module(*tensors)
            except Exception as error:  # of anybody's code, which may take other batches only
                problem = f"{type(error).__name__}: {one_line(error)}"
                continue
        if not all(map(same_bits, found, again)):
            raise ValueError("the task cannot be exported: two predictions of the same inputs differ")
        names = samples.names if len(samples.names) == len(tensors) else _numbered(len(tensors))
        return Prediction(module, dict(zip(names, tensors, strict=True)), dict(zip(module.places, found, strict=True)))
    raise ValueError(f"the task cannot be exported: {problem}")


def _numbered(number: int) -> list[str]:
    return ["input" if number == 1 else f"input_{index}" for index in range(number)]


def _functions(task: LightningModule, samples: Samples) -> list[Function]:
    """Return what may make predictions of inputs as the network takes them, the best first."""
    if unpacks(task):
        alone = [lambda task, inputs: task.predict_step(inputs, 0)] if isinstance(samples.inputs, Tensor) else []
        columns = [lambda task, inputs: task.prediction_columns(task(inputs))] * hasattr(task, "prediction_columns")
        return [*alone, *columns, lambda task, inputs: {NAME: task.predict(task(inputs))}]
    own = [_own_step(samples)] if is_overridden("predict_step", task) else []
    return [*own, lambda task, inputs: task(*inputs)]


def _own_step(samples: Samples) -> Function:
    """Return a `predict_step` of batches whose other parts, such as targets, are None."""

    def predict(task: Any, inputs: Sequence[Any]) -> Any:
        if isinstance(samples.batch, Mapping):
            return task.predict_step(dict.fromkeys(samples.batch) | dict(zip(samples.names, inputs, strict=True)), 0)
        if not isinstance(samples.batch, list | tuple):
            return task.predict_step(inputs[0], 0)
        return task.predict_step([*inputs, *[None] * (len(samples.batch) - len(inputs))], 0)

    return predict


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are equal to the bit, NaNs too."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    bytes_of = [tensor.contiguous().view(-1).view(torch.uint8) for tensor in (one, other)]
    return torch.equal(*bytes_of)

"""Mean loss and metrics of a stage, updated with several batches at once."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.wrappers import MultitaskWrapper

from lightning_template.engine.libraries.torch_private import KeepsPrecision
from lightning_template.engine.measures.joining import joined
from lightning_template.engine.measures.mean_loss import MeanLoss
from lightning_template.engine.nests import is_plain, map_tensors, tensors_of

MAX_WAITING = 2**20
"""Largest number of values that wait for the metrics, beyond the last batch's: 4 MB in single precision."""

Predict = Callable[[Any], Any]


class Measures(KeepsPrecision):
    """Mean loss and metrics of a stage. Batches wait until there are many, or until the results are asked for.

    An update of a metric costs Python's time for each call, hardly for each sample. The precision stays whatever
    module these are part of: in half precision, a sum of thousands stops to grow.

    Args:
        stage: `train`, `val` or `test`, the first part of the results' names.
        metrics: Metrics of predictions and targets, which are copied. Their results must not depend on how samples are
            divided among updates.
        predict: Turns outputs of the network into the predictions that the metrics take.
    """

    def __init__(self, stage: str, metrics: MetricCollection | MultitaskWrapper, predict: Predict) -> None:
        super().__init__()
        self.stage = stage
        # Lightning's own mean of a logged loss is wrong where ranks have unequally many samples.
        self.loss = MeanLoss()
        self.metrics: Any = metrics.clone(prefix=f"{stage}/")
        self._predict = predict
        self._waiting: list[tuple[Tensor, Any, Any]] = []
        self.num_values = 0
        self._are_predicted = False  # whether predictions wait, not outputs

    def update(self, loss: Tensor, outputs: Any, targets: Any) -> None:
        """Add a batch.

        Args:
            loss: Mean loss of the batch, a scalar.
            outputs: Outputs of the network, a tensor `(N, ...)` or what holds tensors.
            targets: Targets, a tensor `(N, ...)` or what holds tensors. The length of the first is the number of
                samples.
        """
        if self._are_predicted or not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
            self._update_predicted(loss.detach(), outputs, targets)
            return
        # A copy of the outputs: they may be part of something larger, or memory that a CUDA graph will use again.
        self._waiting.append((loss.detach(), outputs.detach().clone(), targets))
        # `nn.Module` takes half a microsecond to set an attribute.
        vars(self)["num_values"] += outputs.numel() + targets.numel()
        if self.num_values > MAX_WAITING:
            self.flush()

    def _update_predicted(self, loss: Tensor, outputs: Any, targets: Any) -> None:
        """Add a batch of predictions: outputs may hold much that metrics do not need, such as hidden states."""
        if not self._are_predicted:
            self.flush()
        self._are_predicted = True
        with torch.no_grad():
            predictions = self._predict(map_tensors(_at_least_single, outputs))
        predictions = map_tensors(lambda tensor: tensor.detach().clone(), predictions)
        self._waiting.append((loss, predictions, map_tensors(Tensor.detach, targets)))
        self.num_values += sum(tensor.numel() for tensor in tensors_of((predictions, targets)))
        if self.num_values > MAX_WAITING or not is_plain((predictions, targets)):  # a checkpoint could not hold it
            self.flush()

    def flush(self) -> None:
        """Update mean loss and metrics with the batches that wait."""
        if not self._waiting:
            return
        losses, outputs, targets = zip(*self._waiting, strict=True)
        self._waiting, self.num_values = [], 0
        sizes = [num_samples(target, batch) for batch, target in zip(outputs, targets, strict=True)]
        self.loss.update(torch.stack(losses), torch.tensor(sizes, device=losses[0].device))
        batches = list(zip(outputs, targets, strict=True))
        if self._are_predicted:
            batches = list(joined(batches, sizes))
        elif len({(batch.shape[1:], target.shape[1:]) for batch, target in batches}) == 1:
            batches = [(torch.cat(outputs), torch.cat(targets))]
        for batch, target in batches:
            predictions = batch if self._are_predicted else self._predict(_at_least_single(batch))
            self.metrics.update(predictions, map_tensors(_at_least_single, target))
        self.named_metrics()  # brings metrics that share their sums with another up to date

    def results(self) -> dict[str, Metric]:
        """Return mean loss and metrics by name; nothing if no batch was added since the last reset."""
        self.flush()
        if not self.loss.update_called:
            return {}
        return {f"{self.stage}/loss": self.loss, **self.named_metrics()}

    def named_metrics(self) -> dict[str, Metric]:
        """Return the metrics by name, those of a `MultitaskWrapper` one by one."""
        return dict(_flat(self.metrics))

    def reset(self) -> None:
        """Discard all batches."""
        self._waiting, self.num_values = [], 0
        self.loss.reset()
        self.metrics.reset()

    def dump_waiting(self) -> dict[str, Any]:
        """Return the batches that wait, to be saved in a checkpoint."""
        return {"are_predicted": self._are_predicted, "batches": map_tensors(Tensor.cpu, self._waiting)}

    def load_waiting(self, waiting: dict[str, Any]) -> None:
        """Restore the batches that `dump_waiting` returned."""
        device = self.loss.device
        self._are_predicted = waiting["are_predicted"]
        self._waiting = map_tensors(lambda tensor: tensor.to(device), waiting["batches"])
        self.num_values = sum(tensor.numel() for _, *parts in self._waiting for tensor in tensors_of(parts))


def per_stage(metrics: MetricCollection | MultitaskWrapper, predict: Predict) -> Iterator[Measures]:
    """Yield the measures of training, validation and test, see `Measures`."""
    for stage in ("train", "val", "test"):
        yield Measures(stage, metrics, predict)


def num_samples(targets: Any, outputs: Any = None) -> int:
    """Return the length of the first tensor of the targets, or else of the outputs.

    Raises:
        ValueError: If there is none, or it is a scalar.
    """
    first = targets if isinstance(targets, Tensor) else next(iter(tensors_of((targets, outputs))), None)
    if first is None or not first.ndim:
        raise ValueError("the first tensor of the targets must have samples along dimension 0, by which they count")
    return len(first)


def _flat(metrics: Any) -> Iterator[tuple[str, Metric]]:
    whole = isinstance(metrics, MultitaskWrapper)
    for name, metric in metrics.items() if whole else metrics.items(copy_state=False):
        if isinstance(metric, MultitaskWrapper):
            yield from ((f"{name}_{part}", inner) for part, inner in _flat(metric))
        else:
            yield name, metric


def _at_least_single(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values

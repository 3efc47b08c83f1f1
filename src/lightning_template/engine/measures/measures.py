"""Mean loss and metrics of a stage, updated with several batches at once."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from lightning_template.engine.libraries.torch_private import KeepsPrecision
from lightning_template.engine.measures.mean_loss import MeanLoss

MAX_WAITING = 2**20
"""Largest number of values that wait for the metrics, beyond the last batch's: 4 MB in single precision."""

Predict = Callable[[Tensor], Tensor]


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

    def __init__(self, stage: str, metrics: MetricCollection, predict: Predict) -> None:
        super().__init__()
        self.stage = stage
        # Lightning's own mean of a logged loss is wrong where ranks have unequally many samples.
        self.loss = MeanLoss()
        self.metrics = metrics.clone(prefix=f"{stage}/")
        self._predict = predict
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._num_values = 0

    def update(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            loss: Mean loss of the batch, a scalar.
            outputs: Outputs of the network `(N, ...)`.
            targets: Targets `(N, ...)`.
        """
        # A copy of the outputs: they may be part of something larger, or memory that a CUDA graph will use again.
        self._waiting.append((loss.detach(), outputs.detach().clone(), targets))
        self._num_values += outputs.numel() + targets.numel()
        if self._num_values > MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Update mean loss and metrics with the batches that wait."""
        if not self._waiting:
            return
        losses, outputs, targets = zip(*self._waiting, strict=True)
        self._waiting, self._num_values = [], 0
        self.loss.update(torch.stack(losses), torch.tensor([len(part) for part in targets], device=losses[0].device))
        if len({(batch.shape[1:], target.shape[1:]) for batch, target in zip(outputs, targets, strict=True)}) == 1:
            outputs, targets = (torch.cat(outputs),), (torch.cat(targets),)
        for batch, target in zip(outputs, targets, strict=True):
            self.metrics.update(self._predict(_at_least_single(batch)), _at_least_single(target))
        self.metrics.items(copy_state=False)  # brings metrics that share their sums with another up to date

    def results(self) -> dict[str, Metric]:
        """Return mean loss and metrics by name; nothing if no batch was added since the last reset."""
        self.flush()
        if not self.loss.update_called:
            return {}
        return {f"{self.stage}/loss": self.loss, **dict(self.metrics.items(copy_state=False))}

    def reset(self) -> None:
        """Discard all batches."""
        self._waiting, self._num_values = [], 0
        self.loss.reset()
        self.metrics.reset()

    def dump_waiting(self) -> list[list[Tensor]]:
        """Return the batches that wait, to be saved in a checkpoint."""
        return [[part.cpu() for part in batch] for batch in self._waiting]

    def load_waiting(self, waiting: list[list[Tensor]]) -> None:
        """Restore the batches that `dump_waiting` returned."""
        device = self.loss.device
        self._waiting = [
            (loss.to(device), outputs.to(device), targets.to(device)) for loss, outputs, targets in waiting
        ]
        self._num_values = sum(outputs.numel() + targets.numel() for _, outputs, targets in waiting)


def per_stage(metrics: MetricCollection, predict: Predict) -> Iterator[Measures]:
    """Yield the measures of training, validation and test, see `Measures`."""
    for stage in ("train", "val", "test"):
        yield Measures(stage, metrics, predict)


def _at_least_single(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values

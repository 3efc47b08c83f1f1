"""Sequence labelling: targets are the class of each position of a sequence."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lightning_template.engine.drawing import bars, strips
from lightning_template.tasks.segmentation import SegmentationTask

NUM_SHOWN = 12


class SequenceLabellingTask(SegmentationTask):
    """Predicts the class of each position of sequences, which may differ in length.

    Targets are class indices `(N, length)`. Outputs are logits `(N, num_classes, length)`, for a loss such as
    `CrossEntropyLoss`. Positions whose target is the loss's `ignore_index`, -100 if not told otherwise, are padding:
    they count neither there nor in metrics. A batch is `(inputs, targets)`, or `(inputs, lengths, targets)`, where
    the targets after the end of each sequence may be anything.

    Args:
        network: Maps inputs `(N, length, ...)`, and lengths `(N,)` if a batch has them, to such outputs.
        loss: Maps such outputs and targets to a scalar, the mean over the batch's positions.
        num_classes: Number of classes, at least 2.
    """

    monitor = "val/f1"
    mode = "max"

    def configure_metrics(self) -> MetricCollection:
        """Measure the share of positions that are right, and F1 as the mean over classes."""
        options: dict[str, Any] = {"num_classes": self.num_classes, "ignore_index": self.ignore_index}
        return MetricCollection(
            {"accuracy": MulticlassAccuracy(average="micro", **options), "f1": MulticlassF1Score(**options)}
        )

    def unpack(self, batch: Any) -> tuple[Any, Tensor]:
        """Return inputs, with lengths if the batch has them, and targets in which padding is marked.

        Raises:
            ValueError: If there are lengths, and the loss has no `ignore_index`.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) != 3:
            return super().unpack(batch)
        inputs, lengths, targets = batch
        if not hasattr(self.loss, "ignore_index"):
            raise ValueError("lengths in a batch need a `loss` with `ignore_index`, such as `CrossEntropyLoss`")
        is_padding = torch.arange(targets.shape[1], device=targets.device) >= lengths.unsqueeze(1)
        return (inputs, lengths), targets.masked_fill(is_padding, self.ignore_index)

    def forward(self, inputs: Any) -> Tensor:
        """Map inputs, or inputs and lengths, to logits `(N, num_classes, length)`."""
        outputs: Tensor = self.network(*inputs) if isinstance(inputs, tuple | list) else self.network(inputs)
        return outputs

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return the prediction table's columns; where targets are known, without padding."""
        columns = super().predict_step(batch, batch_idx)
        if "target" in columns:
            parts = [columns[name] for name in ("prediction", "target")]
            kept = [_without(str(self.ignore_index), *map(str.split, sample)) for sample in zip(*parts, strict=True)]
            columns["prediction"], columns["target"] = map(list, zip(*kept, strict=True))
            columns["share"] = self._shares(columns["prediction"])
        return columns

    def _shares(self, texts: list[str]) -> Tensor:
        """Return the share of each class in texts of classes `(N, num_classes)`."""
        samples = [text.split() for text in texts]
        classes = map(str, range(self.num_classes))
        return torch.tensor([[part.count(index) / max(1, len(part)) for part in samples] for index in classes]).T

    def figures(self, inputs: Any, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show F1 of each class, and the first sequences with true and predicted classes as colours."""
        names = self.names_of_classes(self.num_classes)
        found = predictions.argmax(dim=1)
        shown, counts = targets[:NUM_SHOWN], (targets != self.ignore_index)[:NUM_SHOWN]
        rows = {"true": shown.where(counts, -1), "predicted": found[:NUM_SHOWN].where(counts, -1)}
        return {"classes/f1": bars(self._dice(found, targets), names, "F1"), "sequences": strips(rows, names)}


def _without(ignored: str, predictions: list[str], targets: list[str]) -> tuple[str, str]:
    kept = [pair for pair in zip(predictions, targets, strict=True) if pair[1] != ignored]
    return " ".join(prediction for prediction, _ in kept), " ".join(target for _, target in kept)

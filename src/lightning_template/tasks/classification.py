"""Classification: targets are class indices."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from lightning_template.tasks.base import SupervisedTask


class ClassificationTask(SupervisedTask):
    """Sorts each sample into one of several classes; two classes make it binary.

    Targets are class indices `(N,)`. Outputs are `(N, num_classes)`: logits for `CrossEntropyLoss`, log-probabilities
    for `NLLLoss`. With two classes they may also be one value for each sample, `(N,)` or `(N, 1)`. That is the logit of
    class 1 for `BCEWithLogitsLoss`, its probability for `BCELoss`.

    Args:
        network: Maps a batch of inputs `(N, ...)` to such outputs.
        loss: Maps such outputs and targets to a scalar, the mean over the batch.
        num_classes: Number of classes, at least 2.

    Raises:
        ValueError: If `num_classes` is less than 2.
    """

    monitor = "val/accuracy"
    mode = "max"

    def __init__(self, network: nn.Module, loss: nn.Module, num_classes: int, **kwargs: Any) -> None:
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2, got {num_classes}")
        self.num_classes = num_classes  # first, because the base's constructor calls `configure_metrics`
        super().__init__(network, loss, **kwargs)

    def configure_metrics(self) -> MetricCollection:
        """Measure accuracy, precision, recall and F1; the last three of class 1, or as means over classes."""
        if self.num_classes == 2:
            kinds = {
                "accuracy": BinaryAccuracy,
                "precision": BinaryPrecision,
                "recall": BinaryRecall,
                "f1": BinaryF1Score,
            }
            return MetricCollection({name: kind() for name, kind in kinds.items()})
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
                "precision": MulticlassPrecision(self.num_classes),
                "recall": MulticlassRecall(self.num_classes),
                "f1": MulticlassF1Score(self.num_classes),
            }
        )

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs and targets that are not as the class says.

        Raises:
            ValueError: If a shape is wrong, or targets are not integers.
        """
        num_samples = len(targets)
        allowed: list[tuple[int, ...]] = [(num_samples, self.num_classes)]
        if self.num_classes == 2:
            allowed += [(num_samples,), (num_samples, 1)]
        if outputs.shape not in allowed:
            raise ValueError(
                f"`network` must return outputs of shape {' or '.join(map(str, allowed))} for {num_samples} samples of "
                f"`num_classes` {self.num_classes}, got {tuple(outputs.shape)}"
            )
        if targets.ndim != 1 or targets.is_floating_point():
            raise ValueError(f"targets must be class indices (N,), got {targets.dtype} of shape {tuple(targets.shape)}")

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch; losses of one value for each sample get targets in its shape and dtype.

        Raises:
            ValueError: If a target is no class. On a GPU torch ends the process instead.
        """
        if _is_one_value(outputs):
            targets = targets.to(outputs).view_as(outputs)
        try:
            return super().compute_loss(outputs, targets)
        except IndexError as error:  # torch looks at each target anyhow
            low, high = targets[targets != getattr(self.loss, "ignore_index", -100)].aminmax()
            raise ValueError(
                f"targets must be classes from 0 to {self.num_classes - 1}, got {low.item()} to {high.item()}"
            ) from error

    def predict(self, outputs: Tensor) -> Tensor:
        """Return probabilities: of each class `(N, num_classes)`; if binary, of class 1 `(N,)`."""
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))  # bfloat16 would make logits equal
        if _is_one_value(outputs):
            outputs = outputs.flatten()
            return outputs if isinstance(self.loss, nn.BCELoss) else outputs.sigmoid()
        probabilities = outputs.softmax(dim=1)  # leaves log-probabilities what they are: they are normalised
        return probabilities[:, 1] if self.num_classes == 2 else probabilities

    def prediction_columns(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return the most probable class `(N,)`, its probability `(N,)` and that of each class `(N, num_classes)`."""
        probabilities = self.predict(outputs)
        if self.num_classes == 2:
            probabilities = torch.stack([1 - probabilities, probabilities], dim=1)
        probability, prediction = probabilities.max(dim=1)
        return {"prediction": prediction, "probability": probability, "probability_of": probabilities}


def _is_one_value(outputs: Tensor) -> bool:
    return outputs.ndim == 1 or outputs.shape[1] == 1

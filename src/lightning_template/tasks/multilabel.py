"""Several labels: targets say of each label whether it holds."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MultilabelAccuracy,
    MultilabelExactMatch,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)

from lightning_template.engine.drawing import are_images, bars, captioned_images
from lightning_template.tasks.base import SupervisedTask

NUM_SHOWN = 12


class MultilabelTask(SupervisedTask):
    """Predicts of each of several labels whether it holds; all of them may, or none.

    Targets are 0 or 1, integers or floats `(N, num_labels)`. Outputs are logits of the same shape, for a loss such as
    `BCEWithLogitsLoss`.

    Args:
        network: Maps a batch of inputs `(N, ...)` to such outputs.
        loss: Maps outputs and targets, both float, to a scalar, the mean over the batch.
        num_labels: Number of labels, at least 2.

    Raises:
        ValueError: If `num_labels` is less than 2.
    """

    monitor = "val/f1"
    mode = "max"

    def __init__(self, network: nn.Module, loss: nn.Module, num_labels: int, **kwargs: Any) -> None:
        if num_labels < 2:
            raise ValueError(f"`num_labels` must be at least 2, got {num_labels}")
        self.num_labels = num_labels  # first, because the base's constructor calls `configure_metrics`
        super().__init__(network, loss, **kwargs)

    def configure_metrics(self) -> MetricCollection:
        """Measure means over labels, F1 over all labels together, and the share of samples that are wholly right."""
        return MetricCollection(
            {
                "accuracy": MultilabelAccuracy(self.num_labels),
                "precision": MultilabelPrecision(self.num_labels),
                "recall": MultilabelRecall(self.num_labels),
                "f1": MultilabelF1Score(self.num_labels),
                "f1_micro": MultilabelF1Score(self.num_labels, average="micro"),
                "exact_match": MultilabelExactMatch(self.num_labels),
            }
        )

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs and targets that are not as the class says.

        Raises:
            ValueError: If a shape is wrong, or a target is neither 0 nor 1.
        """
        if not outputs.shape == targets.shape == (len(targets), self.num_labels):
            raise ValueError(
                f"outputs and targets must be (N, {self.num_labels}), for `num_labels` {self.num_labels}, "
                f"got {tuple(outputs.shape)} and {tuple(targets.shape)}"
            )

        if targets.numel() and not (targets.min() >= 0 and targets.max() <= 1):
            raise ValueError(f"targets must be 0 or 1, got {targets.min().item():g} to {targets.max().item():g}")

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return super().compute_loss(outputs, targets.to(outputs))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label `(N, num_labels)`."""
        return outputs.sigmoid()

    def prediction_columns(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return for each label whether it holds, and how probable that is, both `(N, num_labels)`."""
        probabilities = self.predict(outputs)
        return {"prediction": (probabilities > 0.5).long(), "probability_of": probabilities}

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show F1 of each label, and of images those with the most improbable labels."""
        names = self.names_of_classes(self.num_labels)
        found, true = predictions > 0.5, targets > 0.5
        f1 = 2 * (found & true).sum(0) / (found.sum(0) + true.sum(0)).clamp(min=1)
        figures: dict[str, Any] = {"labels/f1": bars(f1, names, "F1")}
        if are_images(inputs):
            of_truth = torch.where(true, predictions, 1 - predictions).amin(1)
            worst = of_truth.argsort(stable=True)[:NUM_SHOWN]
            captions = [[_listed("true: ", true[i], names), _listed("", found[i], names)] for i in worst.tolist()]
            are_wrong = (found != true).any(1)[worst].tolist()
            figures["images/worst mistakes"] = captioned_images(inputs[worst], captions, are_wrong)
        return figures


def _listed(first: str, are_there: Tensor, names: list[str]) -> str:
    there = [name for name, is_there in zip(names, are_there.tolist(), strict=True) if is_there]
    return first + (", ".join(there) or "none")

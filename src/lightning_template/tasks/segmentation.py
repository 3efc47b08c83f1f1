"""Segmentation: targets are the class of each pixel."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from lightning_template.engine.drawing import bars, paint, rows_of_images
from lightning_template.tasks.classification import ClassificationTask

NUM_SHOWN = 8


class SegmentationTask(ClassificationTask):
    """Predicts the class of each pixel of an image, or of each voxel of a volume.

    Targets are class indices `(N, height, width)`. Outputs are logits `(N, num_classes, height, width)`, for a loss
    such as `CrossEntropyLoss`. Pixels whose target is the loss's `ignore_index` count neither there nor in metrics.

    Args:
        network: Maps a batch of images `(N, channels, height, width)` to such outputs.
        loss: Maps such outputs and targets to a scalar, the mean over the batch's pixels.
        num_classes: Number of classes, the background being one; at least 2.
    """

    monitor = "val/iou"
    mode = "max"

    @property
    def ignore_index(self) -> int:
        """Target of pixels that do not count, as the loss has it; -100 if it has none."""
        return getattr(self.loss, "ignore_index", -100)

    def configure_metrics(self) -> MetricCollection:
        """Measure the share of pixels that are right, and intersection over union and Dice as means over classes."""
        options: dict[str, Any] = {"num_classes": self.num_classes, "ignore_index": self.ignore_index}
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(average="micro", **options),
                "iou": MulticlassJaccardIndex(**options),
                "dice": MulticlassF1Score(**options),
            }
        )

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs and targets that are not as the class says.

        Raises:
            ValueError: If a shape is wrong, or targets are not integers.
        """
        if targets.is_floating_point() or targets.ndim < 2:
            raise ValueError(
                f"targets must be a class index for each element, integers (N, ...), got {targets.dtype} "
                f"of shape {tuple(targets.shape)}"
            )
        expected = len(targets), self.num_classes, *targets.shape[1:]
        if outputs.shape != expected:
            raise ValueError(
                f"`network` must return outputs of shape {expected} for targets {tuple(targets.shape)} of "
                f"`num_classes` {self.num_classes}, got {tuple(outputs.shape)}"
            )

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class in each pixel `(N, num_classes, height, width)`."""
        return outputs.to(torch.promote_types(outputs.dtype, torch.float32)).softmax(dim=1)  # no ties in bfloat16

    def prediction_columns(self, outputs: Tensor) -> dict[str, Any]:
        """Return the share of each class in an image `(N, num_classes)`, and a text of the class of each pixel."""
        classes = outputs.argmax(dim=1).flatten(1)
        shares = torch.stack([(classes == index).float().mean(1) for index in range(self.num_classes)], dim=1)
        return {"share": shares, "prediction": _texts(classes)}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return the prediction table's columns, the targets as text too: pixels row by row."""
        columns = super().predict_step(batch, batch_idx)
        return columns | ({"target": _texts(columns["target"].flatten(1))} if "target" in columns else {})

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show images with true and predicted classes painted over them, and Dice of each class."""
        names = self.names_of_classes(self.num_classes)
        found = predictions.argmax(dim=1)
        figures: dict[str, Any] = {"classes/dice": bars(self._dice(found, targets), names, "Dice")}
        if targets.ndim == 3:
            shown, counts = inputs[:NUM_SHOWN], (targets != self.ignore_index)[:NUM_SHOWN]
            masks = {"true": targets[:NUM_SHOWN], "predicted": found[:NUM_SHOWN]}
            rows = {name: paint(shown, mask.where(counts, -1), self.num_classes) for name, mask in masks.items()}
            figures["images/classes"] = rows_of_images(rows, names)
        return figures

    def _dice(self, found: Tensor, targets: Tensor) -> Tensor:
        """Return twice the pixels that are of a class in both, over those in either, `(num_classes,)`."""
        counts = targets != self.ignore_index
        pairs = torch.bincount(targets[counts] * self.num_classes + found[counts], minlength=self.num_classes**2)
        matrix = pairs.view(self.num_classes, self.num_classes)
        return 2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1)).clamp(min=1)


def _texts(classes: Tensor) -> list[str]:
    return [" ".join(map(str, sample)) for sample in classes.tolist()]

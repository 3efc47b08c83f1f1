"""Which shapes are in a picture: several at once, or none. The pictures are made on the spot."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelAccuracy, MultilabelF1Score

from lightning_template.datamodules import InMemoryDataModule
from lightning_template.tasks import SupervisedTask

SHAPES = ("square", "ring", "cross")
SIZE = 16


class ShapesDataModule(InMemoryDataModule):
    """Pictures `(1, 16, 16)` in [0, 1] with noise, and for each of three shapes whether it is there, `(3,)` of 0 and 1.

    Args:
        num_samples: Number of pictures for training and validation, and as many for the test.
        noise: Standard deviation of the pixels' noise.
    """

    input_shape = (1, SIZE, SIZE)

    def __init__(self, num_samples: int = 4000, noise: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_samples = num_samples
        self.noise = noise

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Draw the pictures for training and for the test."""
        generator = torch.Generator().manual_seed(0)  # not `self.seed`: the data stay the same
        train, test = (self._draw(generator) for _ in range(2))
        return train, test

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        stamps = torch.zeros(len(SHAPES), 5, 5)
        stamps[0, 1:4, 1:4] = 1
        stamps[1] = 1
        stamps[1, 1:4, 1:4] = 0
        stamps[2, 2] = stamps[2, :, 2] = 1
        inputs = self.noise * torch.randn(self.num_samples, 1, SIZE, SIZE, generator=generator)
        targets = torch.randint(2, (self.num_samples, len(SHAPES)), generator=generator)
        places = torch.randint(SIZE - 4, (self.num_samples, len(SHAPES), 2), generator=generator).tolist()
        for picture, present, corners in zip(inputs, targets, places, strict=True):
            for stamp, is_there, (row, column) in zip(stamps, present, corners, strict=True):
                picture[0, row : row + 5, column : column + 5] += is_there * stamp
        return inputs, targets


class MultiLabelTask(SupervisedTask):
    """Predicts for each label whether it holds, by binary cross-entropy.

    Args:
        network: Maps inputs `(N, ...)` to logits `(N, num_labels)`.
        num_labels: Number of labels, at least 2.
    """

    monitor = "val/f1"
    mode = "max"

    def __init__(self, network: nn.Module, num_labels: int, **kwargs: Any) -> None:
        self.num_labels = num_labels  # first, because the base's constructor calls `configure_metrics`
        super().__init__(network=network, loss=nn.BCEWithLogitsLoss(), **kwargs)

    def configure_metrics(self) -> MetricCollection:
        """Measure accuracy and F1, means over labels."""
        return MetricCollection(
            {"accuracy": MultilabelAccuracy(self.num_labels), "f1": MultilabelF1Score(self.num_labels)}
        )

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs and targets of two shapes.

        Raises:
            ValueError: If not both are `(N, num_labels)`.
        """
        if not outputs.shape == targets.shape == (len(targets), self.num_labels):
            raise ValueError(
                f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} must be (N, num_labels)"
            )

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, whose targets are 0 and 1."""
        return super().compute_loss(outputs, targets.to(outputs))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label `(N, num_labels)`."""
        return outputs.sigmoid()

    def prediction_columns(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return the probability of each label `(N, num_labels)`."""
        return {"probability": self.predict(outputs)}

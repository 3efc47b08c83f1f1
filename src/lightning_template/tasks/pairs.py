"""Self-supervised pairs: two views of a sample are to be alike, and unlike those of other samples."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torchmetrics import MetricCollection

from lightning_template.engine.drawing import are_images, rows_of_images
from lightning_template.engine.measures import PairAccuracy
from lightning_template.tasks.base import SupervisedTask

NUM_SHOWN = 8


class NTXentLoss(nn.Module):
    """Cross-entropy of finding a view's partner among all other views of the batch, by their cosines.

    Its value depends on the batch: more samples are harder to tell apart. Each rank compares its own samples.

    Args:
        temperature: Divides the cosines, above 0; a small one makes the nearest views count most.

    Raises:
        ValueError: If `temperature` is not above 0.

    Source: Chen et al. 2020, A simple framework for contrastive learning, https://arxiv.org/abs/2002.05709

    Example:
        >>> outputs = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
        >>> NTXentLoss(temperature=1.0)(outputs, None)  # log(1 + 2 / e)
        tensor(0.5514)
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"`temperature` must be above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, outputs: Tensor, targets: Any) -> Tensor:
        """Return the loss of features `(N, 2, num_features)`; targets are not used."""
        views = normalize(outputs.transpose(0, 1).flatten(0, 1), dim=1)
        numbers = torch.arange(len(views), device=views.device)
        cosines = (views @ views.T).masked_fill(numbers == numbers.unsqueeze(1), -torch.inf)  # but for the view itself
        return cross_entropy(cosines / self.temperature, numbers.roll(len(outputs)))


class PairsTask(SupervisedTask):
    """Learns features of samples from two views of each.

    A batch is inputs `(N, 2, ...)`, which hold two views of each sample, and targets, which are not used.

    Args:
        network: Maps views `(num_views, ...)` to features `(num_views, num_features)`.
        loss: Maps features `(N, 2, num_features)` and targets to a scalar, such as `NTXentLoss`.
    """

    def configure_metrics(self) -> MetricCollection:
        """Measure how often a view's partner is nearest to it."""
        return MetricCollection({"accuracy": PairAccuracy()})

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs that are not as the class says.

        Raises:
            ValueError: If the network returned no features for each view.
        """
        if outputs.ndim != 3:
            raise ValueError(
                f"`network` must return features (num_views, num_features), got {tuple(outputs.flatten(0, 1).shape)}"
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(N, 2, ...)` to features `(N, 2, num_features)`.

        Raises:
            ValueError: If inputs do not have two views each.
        """
        if inputs.ndim < 3 or inputs.shape[1] != 2:
            raise ValueError(f"inputs must be two views of each sample (N, 2, ...), got {tuple(inputs.shape)}")
        features: Tensor = self.network(inputs.flatten(0, 1))
        return features.view(-1, 2, *features.shape[1:])

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the features `(N, num_features)` of the first view, or of inputs alone, which are one view each."""
        views = batch if isinstance(batch, Tensor) else self.unpack(batch)[0][:, 0]
        return {"feature": self.network(views)}

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show of images a view, its partner, and the view of another sample that is nearest to it."""
        if not are_images(inputs[:, 0]) or len(inputs) < 2:
            return {}
        features = normalize(predictions, dim=2)
        cosines = (features[:, 0] @ features[:, 1].T).fill_diagonal_(-torch.inf)
        nearest = cosines.argmax(dim=1)[:NUM_SHOWN]
        rows = {"view": inputs[:NUM_SHOWN, 0], "partner": inputs[:NUM_SHOWN, 1], "nearest other": inputs[nearest, 1]}
        return {"images/pairs": rows_of_images(rows)}

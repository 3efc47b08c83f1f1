"""Autoencoder: the targets are the inputs."""

from typing import Any

from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from lightning_template.engine.drawing import are_images, lines, rows_of_images
from lightning_template.tasks.base import SupervisedTask

NUM_SHOWN = 10


class AutoencoderTask(SupervisedTask):
    """Learns to reproduce its inputs; outputs have their shape `(N, ...)`.

    A batch is inputs and targets, which are not used, or inputs alone.

    Args:
        network: Maps a batch of inputs `(N, ...)` to such outputs, through something smaller.
        loss: Maps outputs and inputs to a scalar, such as `MSELoss`.
    """

    def unpack(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the inputs of a batch, as inputs and as targets."""
        inputs: Tensor = batch if isinstance(batch, Tensor) else super().unpack(batch)[0]
        return inputs, inputs

    def configure_metrics(self) -> MetricCollection:
        """Measure the mean absolute and squared errors."""
        return MetricCollection({"mae": MeanAbsoluteError(), "mse": MeanSquaredError()})

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse outputs of another shape than the inputs.

        Raises:
            ValueError: If shapes differ, or inputs are not floating point.
        """
        if outputs.shape != targets.shape or not targets.is_floating_point():
            raise ValueError(
                f"`network` must return outputs of the inputs' shape, and inputs be floating point: got outputs "
                f"{tuple(outputs.shape)} for inputs {tuple(targets.shape)} of {targets.dtype}"
            )

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the mean squared error of each sample `(N,)`, which is large for unusual ones, and the outputs."""
        inputs, _ = self.unpack(batch)
        outputs = self(inputs)
        return {"error": (outputs - inputs).square().flatten(1).mean(1), **self.prediction_columns(outputs)}

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show inputs and below them the outputs, as images or as lines."""
        if are_images(inputs):
            rows = {"input": inputs[:NUM_SHOWN], "output": predictions[:NUM_SHOWN].clamp(inputs.min(), inputs.max())}
            return {"images/reconstructions": rows_of_images(rows)}
        shown = {"input": inputs[: NUM_SHOWN // 2].flatten(1), "output": predictions[: NUM_SHOWN // 2].flatten(1)}
        return {"reconstructions": lines(shown)}

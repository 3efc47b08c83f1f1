"""What datamodules share that read people's own data: inputs scaled by what the training samples are like."""

from typing import Any

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import CHUNK_BYTES, InMemoryDataModule
from lightning_template.engine.batches import Inputs


class NormalizedDataModule(InMemoryDataModule):
    """Serves inputs `(N, channels, ...)` as floats, each channel with a mean of 0 and a standard deviation of 1.

    Both are those of the training samples, without the ones kept for validation and test. A channel that is constant
    there becomes 0.

    Args:
        normalize: Whether inputs are scaled so. Otherwise bytes are divided by 255, floating-point numbers served in
            single precision, and other integers as they are.
    """

    def __init__(self, normalize: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize
        self.mean: Tensor | None = None
        self.std: Tensor | None = None

    def adapt(self, inputs: Inputs, indices: Tensor) -> None:
        """Measure mean and standard deviation of each channel."""
        if self.normalize:
            self.mean, self.std = mean_and_std(inputs, indices)

    def transform(self, inputs: Tensor) -> Tensor:
        """Turn stored inputs `(N, channels, ...)` into floats, scaled if asked for."""
        if self.mean is not None and self.std is not None:
            mean, std = (value.to(inputs.device) for value in (self.mean, self.std))
            return torch.sub(inputs, mean).div_(std).float()
        if inputs.dtype == torch.uint8:
            return inputs / 255
        return inputs.float() if inputs.is_floating_point() else inputs


def mean_and_std(inputs: Inputs, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel of some samples.

    Args:
        inputs: Inputs `(N, channels, ...)`.
        indices: Which samples to measure, at least one.

    Returns:
        Both in the shape `(channels, 1, ...)`, which broadcasts with samples, and in a precision that does not lose
        digits of the inputs. The standard deviation of a constant channel is given as 1.
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    num_rows = max(1, CHUNK_BYTES * len(inputs) // (8 * max(1, inputs.nbytes)))
    for part in torch.split(indices, num_rows):
        stored = inputs.index_select(0, part)
        values = stored.double()[..., None].flatten(2)
        part_count = values.numel() // values.shape[1]
        part_mean = values.mean((0, 2))
        part_squares = values.sub_(part_mean[:, None]).square_().sum((0, 2))
        # Chan's update: sums of squares alone would lose all digits where the mean is large
        count, delta = count + part_count, part_mean - mean
        squares = squares + part_squares + delta**2 * (count - part_count) * part_count / count
        mean = mean + delta * part_count / count
    std = (squares / count).sqrt()
    constant = std <= 1e-12 * mean.abs()  # rounding leaves a little
    shape, dtype = (-1, *[1] * (stored.ndim - 2)), stored.dtype
    precision = torch.float32 if dtype.itemsize <= 2 or dtype == torch.float32 else torch.float64
    return mean.to(precision).view(shape), std.masked_fill(constant, 1).to(precision).view(shape)


def check_targets_differ(where: str, targets: Tensor) -> None:
    """Check that there is something to predict.

    Args:
        where: File, and column if it has such, to name in the message.
        targets: Targets `(N, ...)`, at least one.

    Raises:
        ValueError: If all are the same.
    """
    if all((part == targets[0]).all() for part in torch.split(targets, 4096)):  # ends at the first that differs
        raise ValueError(f"{where}: the target is the same in all {len(targets)} samples: there is nothing to learn")

"""Mean and standard deviation of samples that may be larger than memory."""

import torch
from torch import Tensor

from lightning_template.engine.batches.inputs import CHUNK_BYTES, Inputs


def mean_and_std(inputs: Inputs, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel.

    Args:
        inputs: Inputs `(N, channels, ...)`.
        indices: Indices of the samples to measure, at least one.

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

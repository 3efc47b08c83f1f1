"""Base of data modules that scale each channel by its mean and standard deviation."""

from typing import Any

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.batches import Inputs, mean_and_std


class NormalizedDataModule(InMemoryDataModule):
    """Serves inputs `(N, channels, ...)` as floats, each channel with a mean of 0 and a standard deviation of 1.

    Both are those of the training samples, without the ones used for validation and test. A channel that is constant
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

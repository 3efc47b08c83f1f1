"""Points on a noisy straight line."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.files import TableFile, TableReader


class LineDataModule(InMemoryDataModule):
    """Evenly spaced `x` and `y = slope * x + intercept + noise`, each of shape `(num_points, 1)`.

    The test set has the same `x` and other noise.

    Args:
        slope: Slope of the line.
        intercept: Value of the line at `x = 0`.
        noise: Standard deviation of the Gaussian noise on `y`, at least 0.
        num_points: Number of points, at least 2.
        low: Smallest `x`.
        high: Largest `x`.
        seed: Seed of the noise, of the split and of the order.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> data = LineDataModule(noise=0.0, val_fraction=0.0)
        >>> data.setup("fit")
        >>> data.train_set.targets[-1].item()
        32.0
    """

    num_targets = 1
    """Number of values to predict for each point."""

    def __init__(
        self,
        slope: float = 3.0,
        intercept: float = 2.0,
        noise: float = 0.5,
        num_points: int = 100,
        low: float = 0.0,
        high: float = 10.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if num_points < 2 or noise < 0 or low >= high:
            raise ValueError(
                "a line needs `num_points` >= 2, `noise` >= 0 and `low` < `high`, "
                f"got {num_points}, {noise} and [{low}, {high}]"
            )
        self.slope = slope
        self.intercept = intercept
        self.noise = noise
        self.num_points = num_points
        self.low = low
        self.high = high

    @property
    def true_parameters(self) -> dict[str, float]:
        """Slope and intercept, which figures compare with those of a fitted line."""
        return {"slope": self.slope, "intercept": self.intercept}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return (1,)

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Draw the points of the training and of the test set."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.linspace(self.low, self.high, self.num_points).unsqueeze(1)
        line = self.slope * x + self.intercept
        y, test_y = (line + self.noise * torch.randn(x.shape, generator=generator) for _ in range(2))
        return (x, y), (x, test_y)

    def file_reader(self) -> TableReader:
        """Return a reader of the column `x` of a table, or of its only column."""
        return TableReader(_read_x, lambda: ["x"], needs_setup=False)


def _read_x(path: Path, table: Any) -> Tensor:
    file = TableFile(path, table=table)
    return torch.from_numpy(file.numbers(file.names if len(file.names) == 1 else ["x"])).float()

"""Small pictures of circles, squares and crosses, made on the spot."""

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import InMemoryDataModule

SHAPES = ("circle", "square", "cross")
MAX_SHIFT = 3


class ShapesDataModule(InMemoryDataModule):
    """Noisy grey pictures `(1, size, size)` in which each of three shapes is or is not, at a random place.

    A shape may hide another. With two views, inputs are `(2, 1, size, size)`: the same shapes in other shades, shifted
    by up to `MAX_SHIFT` pixels, with other noise.

    Args:
        targets: `masks` for the class of each pixel `(size, size)`, 0 being the background; `labels` for 0 or 1 for
            each shape `(3,)`, whether some of it is seen.
        num_views: Number of views of each picture, 1 or 2.
        num_samples: Number of pictures for training and validation; a quarter as many are for the test.
        size: Height and width in pixels, at least 16.
        noise: Standard deviation of the pixels' noise, at least 0; shades lie in [0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        targets: Literal["masks", "labels"] = "masks",
        num_views: Literal[1, 2] = 1,
        num_samples: int = 2000,
        size: int = 32,
        noise: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_samples < 4 or size < 16 or noise < 0:
            raise ValueError(
                "`num_samples` must be at least 4, `size` at least 16 and `noise` at least 0, "
                f"got {num_samples}, {size} and {noise}"
            )
        self.targets = targets
        self.num_views = num_views
        self.num_samples = num_samples
        self.size = size
        self.noise = noise

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return (1, self.size, self.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class of pixels, or of each label."""
        return ("background", *SHAPES) if self.targets == "masks" else SHAPES

    @property
    def num_classes(self) -> int:
        """Number of classes of pixels; 0 for labels."""
        return len(self.class_names) if self.targets == "masks" else 0

    @property
    def num_targets(self) -> int:
        """Number of labels; 0 for masks."""
        return len(SHAPES) if self.targets == "labels" else 0

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Draw the pictures for training and for the test."""
        generator = torch.Generator().manual_seed(0)  # not `self.seed`: the data stay the same
        train, test = (self._samples(number, generator) for number in (self.num_samples, self.num_samples // 4))
        return train, test

    def _samples(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        sides = (number, len(SHAPES), 1, 1)
        radii = self.size * (0.12 + 0.1 * torch.rand(sides, generator=generator))
        are_there = torch.rand(sides, generator=generator) < 0.5
        low = radii + MAX_SHIFT * (self.num_views - 1)
        places = low + (self.size - 2 * low) * torch.rand(2, *sides, generator=generator)
        views = []
        for _ in range(self.num_views):
            shift = torch.zeros(2, number, 1, 1, 1)
            if self.num_views > 1:
                shift = MAX_SHIFT * (2 * torch.rand(shift.shape, generator=generator) - 1)
            masks = self._masks(places + shift, radii, are_there)
            views.append(self._pictures(masks, generator))
        classes = torch.arange(1, len(SHAPES) + 1)
        targets = masks if self.targets == "masks" else (masks.flatten(1).unsqueeze(2) == classes).any(1).long()
        return torch.stack(views, dim=1) if self.num_views > 1 else views[0], targets

    def _masks(self, places: Tensor, radii: Tensor, are_there: Tensor) -> Tensor:
        """Return the class of each pixel `(N, size, size)`; the last shape lies on top."""
        pixels = torch.arange(self.size) + 0.5
        down, right = (pixels[:, None] - places[0]).abs(), (pixels - places[1]).abs()
        near, far = torch.minimum(down, right), torch.maximum(down, right)
        circle, square, cross = (down**2 + right**2 < radii**2), far < 0.9 * radii, (near < radii / 3) & (far < radii)
        inside = torch.stack([circle[:, 0], square[:, 1], cross[:, 2]], dim=1) & are_there
        return (inside * torch.arange(1, len(SHAPES) + 1).view(-1, 1, 1)).amax(1)

    def _pictures(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        shades = torch.rand(len(masks), 1 + len(SHAPES), generator=generator)
        shades = torch.cat([0.3 * shades[:, :1], 0.5 + 0.5 * shades[:, 1:]], dim=1)
        pictures = shades.gather(1, masks.flatten(1)).view(masks.shape)
        return (pictures + self.noise * torch.randn(masks.shape, generator=generator)).unsqueeze(1)

"""Mean and standard deviation of each channel, against numpy."""

import numpy as np
import pytest
import torch

from lightning_template.engine.batches import mean_and_std


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.uint8, torch.float32),
        (torch.int16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.int32, torch.float64),
        (torch.int64, torch.float64),
        (torch.float64, torch.float64),
    ],
)
def test_no_digit_of_the_inputs_is_lost(dtype: torch.dtype, expected: torch.dtype) -> None:
    inputs = (torch.arange(60) ** 2 % 50).view(5, 3, 4).to(dtype)
    indices = torch.tensor([0, 3, 4])
    mean, std = mean_and_std(inputs, indices)
    assert (mean.dtype, std.dtype) == (expected, expected)
    assert mean.shape == std.shape == (3, 1)
    used = inputs[indices].double().numpy()
    np.testing.assert_allclose(mean[:, 0], used.mean((0, 2)), rtol=1e-6)
    np.testing.assert_allclose(std[:, 0], used.std((0, 2)), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -0.1, 1e9 + 0.1, 1e-9])
def test_rounding_leaves_a_constant_channel_constant(value: float) -> None:
    constant = torch.full((1000, 1), value, dtype=torch.float64)
    mean, std = mean_and_std(constant, torch.arange(1000))
    assert mean.item() == pytest.approx(value, rel=1e-12)
    assert std.item() == 1


@pytest.mark.parametrize(("mean", "std"), [(1e-3, 1e-10), (1e3, 1e-6), (-1.0, 1e-9)])
def test_a_channel_that_varies_little_is_not_constant(mean: float, std: float) -> None:
    inputs = torch.tensor([[mean - std], [mean + std]], dtype=torch.float64)
    assert mean_and_std(inputs, torch.arange(2))[1].item() == pytest.approx(std, rel=1e-4)

"""Points on a line, checked against numpy and the normal distribution."""

from typing import Any

import numpy as np
import pytest
import torch

from lightning_template.datamodules import LineDataModule


def points(**options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw `x`, `y` and the test set's `y`, each `(num_points,)`."""
    (x, y), (test_x, test_y) = LineDataModule(**options).load()
    assert torch.equal(x, test_x)
    assert {values.dtype for values in (x, y, test_y)} == {torch.float32}
    assert x.shape == y.shape == test_y.shape == (len(x), 1)
    return x.numpy().ravel(), y.numpy().ravel(), test_y.numpy().ravel()


@pytest.mark.parametrize(
    ("slope", "intercept", "num_points", "low", "high"), [(3.0, 2.0, 100, 0.0, 10.0), (-0.5, 7.0, 2, -3.0, 1.0)]
)
def test_without_noise_points_lie_on_the_line(
    slope: float, intercept: float, num_points: int, low: float, high: float
) -> None:
    x, y, test_y = points(
        slope=slope, intercept=intercept, noise=0.0, num_points=num_points, low=low, high=high, val_fraction=0.0
    )
    np.testing.assert_allclose(x, np.linspace(low, high, num_points), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(y, slope * np.linspace(low, high, num_points) + intercept, rtol=1e-6)
    np.testing.assert_array_equal(test_y, y)


def test_the_defaults_are_the_tutorials() -> None:
    x, y, _ = points()
    assert (len(x), x[0], x[-1]) == (100, 0, 10)
    residuals = y - (3 * x + 2)
    assert np.std(residuals) == pytest.approx(0.5, rel=0.3)  # four standard errors


def test_noise_is_normal() -> None:
    x, y, test_y = points(noise=2.0, num_points=10_000)
    train, test = (values - (3 * x + 2) for values in (y, test_y))
    for noise in (train, test):
        assert np.mean(noise) == pytest.approx(0, abs=0.08)  # four standard errors here and below
        assert np.std(noise) == pytest.approx(2, rel=0.03)
        assert np.mean(np.abs(noise) < 2) == pytest.approx(0.6827, abs=0.02)
        assert np.mean(np.abs(noise) < 4) == pytest.approx(0.9545, abs=0.01)
    assert abs(np.corrcoef(train, test)[0, 1]) < 0.04
    assert abs(np.corrcoef(train, x)[0, 1]) < 0.04


def test_the_seed_decides_the_noise() -> None:
    first, again, other = (points(seed=seed) for seed in (0, 0, 1))
    for mine, same, different in zip(first[1:], again[1:], other[1:], strict=True):
        np.testing.assert_array_equal(mine, same)
        assert not np.isclose(mine, different).any()
    assert not np.isclose(first[1], first[2]).any()


def test_a_sample_has_the_shape_it_says() -> None:
    data = LineDataModule(batch_size=16)
    data.setup("fit")
    inputs, targets = next(iter(data.train_dataloader()))
    assert inputs.shape == (16, *data.input_shape)
    assert targets.shape == (16, 1)


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"num_points": 1}, r"got 1, 0\.5 and \[0\.0, 10\.0\]"),
        ({"noise": -0.1}, r"got 100, -0\.1 and"),
        ({"low": 2.0, "high": 2.0}, r"got 100, 0\.5 and \[2\.0, 2\.0\]"),
        ({"low": 3.0, "high": 2.0}, r"got 100, 0\.5 and \[3\.0, 2\.0\]"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], got: str) -> None:
    with pytest.raises(ValueError, match=rf"needs `num_points` >= 2, `noise` >= 0 and `low` < `high`, {got}"):
        LineDataModule(**options)

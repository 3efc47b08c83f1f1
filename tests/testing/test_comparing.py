"""Equal but for rounding: where rounding ends, in each comparison that the checks make."""

import math

import pytest
import torch

from lightning_template.testing.checks.comparing import (
    close,
    close_numbers,
    require_close_metrics,
    require_equal_states,
)
from lightning_template.testing.exceptions import CheckFailed

NAN = math.nan


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1.0, 1.00008, True),
        (1.0, 1.0003, False),
        (-1000.0, -1000.08, True),
        (-1000.0, -1000.3, False),
        (0.0, 8e-7, True),
        (0.0, 3e-6, False),
        (NAN, NAN, True),
        (NAN, 0.0, False),
        (1.0, NAN, False),
        (1.0, -1.0, False),
    ],
)
def test_numbers(one: float, other: float, expected: bool) -> None:
    assert close_numbers(one, other) is expected
    assert close_numbers(other, one) is expected


@pytest.mark.parametrize("tolerance", [1e-5, 1e-3])
def test_tensors_differ_by_a_part_of_the_largest_value(tolerance: float) -> None:
    values = torch.tensor([[0.0, -50.0], [2.0, 1.0]], dtype=torch.double)
    error = torch.tensor([[0.0, 0.0], [0.0, 50 * tolerance]], dtype=torch.double)
    assert close(values + 0.8 * error, values, tolerance)
    assert not close(values + 3 * error, values, tolerance)
    assert not close(values - 3 * error, values, tolerance)
    zeros = torch.zeros(2)
    assert close(zeros + 0.8e-6 * tolerance, zeros, tolerance)
    assert not close(zeros + 3e-6 * tolerance, zeros, tolerance)
    assert close(zeros[:0], zeros[:0], tolerance)
    assert not close(zeros, torch.zeros(1, 2), tolerance)


def test_metrics() -> None:
    require_close_metrics({"a": 1.0, "b": NAN}, {"a": 1.00008, "b": NAN}, "now", "why")
    with pytest.raises(CheckFailed, match=r"^`a` is 1 instead of 1\.0003 now: why$"):
        require_close_metrics({"a": 1.0, "b": 2.0}, {"a": 1.0003, "b": 2.0}, "now", "why")
    with pytest.raises(CheckFailed, match=r"^`a` is logged in one case alone, `c` is logged in one case alone now"):
        require_close_metrics({"a": 1.0, "b": 2.0}, {"b": 2.0, "c": 1.0}, "now", "why")


def test_states_are_equal_to_the_bit() -> None:
    state = {"a": torch.tensor([1.0, NAN]), "b": torch.tensor([1, 2]), "c": torch.ones(2)}
    same = {name: tensor.clone() for name, tensor in state.items()}
    require_equal_states(state, same, "now", "why")
    for other in (
        same | {"a": torch.tensor([1.0 + 2**-23, NAN])},
        same | {"a": torch.tensor([1.0, 0.0])},
        same | {"a": torch.tensor([1.0])},
    ):
        for one, two in ((state, other), (other, state)):
            with pytest.raises(CheckFailed, match=r"^`a` came out otherwise now: why$"):
                require_equal_states(one, two, "now", "why")
    for one, two in ((state, {"a": same["a"]}), ({"a": same["a"]}, state)):
        with pytest.raises(CheckFailed, match=r"^`b`, `c` came out otherwise now: why$"):
            require_equal_states(one, two, "now", "why")
    with pytest.raises(CheckFailed, match=r"^`c` came out otherwise now: why$"):
        require_equal_states(state, same | {"c": torch.ones(1)}, "now", "why")

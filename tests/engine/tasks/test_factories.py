"""Optimizers and schedules are made by functions, which are checked where they are given."""

import functools
import re
from typing import Any

import pytest
import torch
from torch import nn

from lightning_template.engine.tasks.factories import check_factory
from lightning_template.tasks import RegressionTask

SGD = functools.partial(torch.optim.SGD, lr=0.1)
OPTIMIZER = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
SCHEDULE = torch.optim.lr_scheduler.StepLR(OPTIMIZER, 1)
PLATEAU = torch.optim.lr_scheduler.ReduceLROnPlateau(OPTIMIZER)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": OPTIMIZER}, r"`optimizer` must be a function that makes one, such as functools.partial\("),
        ({"optimizer": "sgd"}, "`optimizer` must be a function .*, got 'sgd'"),
        ({"optimizer": SGD, "lr_scheduler": SCHEDULE}, "`lr_scheduler` must be a function .*StepLR, step_size=10"),
        ({"optimizer": SGD, "lr_scheduler": PLATEAU}, "`lr_scheduler` must be a function"),
        ({"optimizer": SGD, "lr_scheduler": 0.1}, "`lr_scheduler` must be a function .*, got 0.1"),
    ],
)
def test_what_is_made_already_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        RegressionTask(nn.Linear(1, 1), nn.MSELoss(), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -1, -1e-9, [0.1, -1]])
@pytest.mark.parametrize("name", ["lr", "max_lr", "base_lr", "min_lr", "eta_min"])
def test_impossible_learning_rates_are_refused(name: str, rate: Any) -> None:
    message = re.escape(f"`lr_scheduler.{name}` must be finite and at least 0, got {rate}")
    with pytest.raises(ValueError, match=message):
        check_factory("lr_scheduler", functools.partial(print, **{name: rate}))


@pytest.mark.parametrize("options", [{"lr": 0}, {"lr": torch.tensor(0.1)}, {"max_lr": [0.1, 0.2]}, {"gamma": -1}, {}])
def test_possible_ones_are_taken(options: dict[str, Any]) -> None:
    check_factory("optimizer", functools.partial(print, **options))
    check_factory("optimizer", torch.optim.SGD)


def test_an_error_of_a_factory_names_it() -> None:
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss(), functools.partial(torch.optim.SGD, momentum=-1))
    with pytest.raises(ValueError, match=r"^`optimizer` cannot be made: Invalid momentum value: -1"):
        task.configure_optimizers()

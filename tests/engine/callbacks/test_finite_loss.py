"""When a loss that is not finite ends a run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_template.callbacks import FiniteLoss

NAN, INF = torch.tensor(float("nan")), torch.tensor(float("-inf"))


def look(outputs: Any, logs: bool, is_last: bool) -> None:
    progress = SimpleNamespace(is_last_batch=is_last)
    trainer: Any = SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        _logger_connector=SimpleNamespace(should_update_logs=logs),
        global_step=7,
    )
    FiniteLoss().on_train_batch_end(trainer, None, outputs, None, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("logs", "is_last"), [(True, False), (False, True)])
@pytest.mark.parametrize("outputs", [NAN, INF, {"loss": NAN}, {"loss": -INF, "more": 1}])
def test_it_is_seen_whenever_something_is_logged_and_at_the_end_of_an_epoch(
    outputs: Any, logs: bool, is_last: bool
) -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf|-inf) after step 7: lower the learning rate"):
        look(outputs, logs, is_last)


@pytest.mark.parametrize("outputs", [NAN, {"loss": NAN}])
def test_other_steps_do_not_wait_for_the_device(outputs: Any) -> None:
    look(outputs, logs=False, is_last=False)


@pytest.mark.parametrize("outputs", [torch.tensor(1.0), {"loss": torch.tensor(-3.0)}, {"more": NAN}, {}, None, "words"])
def test_what_is_no_loss_or_finite_is_left_alone(outputs: Any) -> None:
    look(outputs, logs=True, is_last=True)

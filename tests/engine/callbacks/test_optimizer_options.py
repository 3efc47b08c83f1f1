"""Options of the command line that win over a checkpoint's optimizer."""

from typing import Any

import pytest
import torch

from lightning_template.engine.callbacks.optimizer_options import OptimizerOptions


class Resumed:
    """A trainer whose optimizers were made with one learning rate and restored with another."""

    def __init__(self, schedules: list[object]) -> None:
        self.optimizers = [torch.optim.SGD([torch.zeros(1)], lr=0.5, momentum=0.25) for _ in range(2)]
        for optimizer in self.optimizers:
            optimizer.add_param_group({"params": [torch.ones(1)]})
        self.lr_scheduler_configs = schedules

    def resume(self, names: list[str]) -> None:
        callback, trainer = OptimizerOptions(names), self
        callback.on_fit_start(trainer, None)  # type: ignore[arg-type]
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.update(lr=0.125, momentum=0.75, weight_decay=0.0625)
        callback.on_train_start(trainer, None)  # type: ignore[arg-type]


def options(trainer: Any) -> list[tuple[float, float, float]]:
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return [(group["lr"], group["momentum"], group["weight_decay"]) for group in groups]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["lr"], (0.5, 0.75, 0.0625)),
        (["momentum"], (0.125, 0.25, 0.0625)),
        (["lr", "weight_decay"], (0.5, 0.75, 0.0)),
        (["no_such_option"], (0.125, 0.75, 0.0625)),
    ],
)
def test_each_group_gets_the_named_options_and_keeps_the_others(names: list[str], expected: Any) -> None:
    trainer: Any = Resumed([])
    trainer.resume(names)
    assert options(trainer) == [expected] * 4


def test_a_schedule_keeps_its_learning_rate() -> None:
    trainer: Any = Resumed(["a schedule"])
    with pytest.raises(ValueError, match=r"`model.optimizer.lr` of a resumed run cannot be changed: its schedule"):
        trainer.resume(["lr"])
    trainer = Resumed(["a schedule"])
    trainer.resume(["momentum"])
    assert options(trainer) == [(0.125, 0.25, 0.0625)] * 4


def test_a_group_keeps_an_option_of_its_own() -> None:
    trainer: Any = Resumed([])
    optimizer = trainer.optimizers[0]
    optimizer.param_groups[1]["lr"] = 0.001
    trainer.resume(["lr"])
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.001]

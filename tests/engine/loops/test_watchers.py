"""Who has a step made by Lightning, hook by hook: the names are those of Lightning's documentation."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn
from torch.optim import SGD

from lightning_template.datamodules import LineDataModule
from lightning_template.engine.loops.boundary import Boundary
from lightning_template.engine.loops.watchers import step_intervals, steps_directly, watchers
from lightning_template.tasks import RegressionTask

OF_A_BATCH = ["on_train_batch_start", "on_train_batch_end"]
OF_ITS_TRANSFER = ["on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"]
OF_ITS_GRADIENTS = [
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
]
OF_A_TASK = ["backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping", "training_step"]


def having(base: type, hook: str, *args: Any, **kwargs: Any) -> Any:
    return type("Having", (base,), {hook: lambda self, *_, **__: None})(*args, **kwargs)


MADE_OF: dict[str, Any] = {"network": nn.Linear(1, 1), "loss": nn.MSELoss(), "optimizer": partial(SGD, lr=0.1)}


def trainer(task: Any = None, data: Any = None, callback: Any = None) -> Any:
    task = task or RegressionTask(**MADE_OF)
    return SimpleNamespace(
        lightning_module=task,
        datamodule=data or LineDataModule(),
        callbacks=[callback or Callback()],
        optimizers=[SGD(task.parameters(), lr=0.1)],
        precision_plugin=Precision(),
        strategy=SingleDeviceStrategy("cpu"),
        profiler=PassThroughProfiler(),
    )


def test_a_plain_run_needs_nobody() -> None:
    for datamodule in (LineDataModule(), None):
        plain = trainer()
        plain.datamodule = datamodule
        assert steps_directly(plain)
        assert list(watchers(plain)) == []


@pytest.mark.parametrize("hook", OF_A_BATCH)
def test_hooks_of_a_batch_see_each_step(hook: str) -> None:
    callback, task = having(Callback, hook), having(RegressionTask, hook, **MADE_OF)
    assert list(watchers(trainer(callback=callback))) == [callback]
    assert list(watchers(trainer(task=task))) == [task]


@pytest.mark.parametrize("hook", OF_A_BATCH)
def test_a_callback_may_be_content_with_executions(hook: str) -> None:
    callback = having(Callback, hook)
    callback.every_execution = True
    assert list(watchers(trainer(callback=callback))) == []
    assert list(watchers(trainer(callback=having(Boundary, hook)))) != []  # a boundary is another thing


@pytest.mark.parametrize(("interval", "expected"), [(7, [7]), (None, []), (0, []), ("7", [])])
def test_a_callback_may_ask_for_an_interval(interval: Any, expected: list[int]) -> None:
    callback: Any = Callback()
    callback.every_n_steps = interval
    assert list(step_intervals(trainer(callback=callback))) == expected


@pytest.mark.parametrize("hook", OF_ITS_TRANSFER)
def test_hooks_of_a_transfer_are_called(hook: str) -> None:
    assert not steps_directly(trainer(data=having(LineDataModule, hook)))
    assert not steps_directly(trainer(task=having(RegressionTask, hook, **MADE_OF)))


@pytest.mark.parametrize("hook", OF_ITS_GRADIENTS)
def test_hooks_within_a_step_are_called(hook: str) -> None:
    assert not steps_directly(trainer(callback=having(Callback, hook)))


@pytest.mark.parametrize("hook", OF_ITS_GRADIENTS + OF_A_TASK)
def test_what_a_task_does_otherwise_is_called(hook: str) -> None:
    task = having(RegressionTask, hook, **MADE_OF)
    assert not steps_directly(trainer(task=task))

"""The parts of an execution, one by one: how long it may be, where its batches come from, and who decides."""

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.loops.fetchers import _DataLoaderIterDataFetcher
from lightning.pytorch.plugins.precision import DoublePrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler, SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import nn
from torch.optim import LBFGS, SGD
from torch.utils.data import IterableDataset

from lightning_template.engine.libraries import lightning_loops
from lightning_template.engine.loops import execution, watchers
from lightning_template.engine.loops.execution import ExecutionLoop
from lightning_template.engine.loops.step_log import StepLog


def loop_of(trainer: Any, **fields: Any) -> Any:
    """Return a loop after 20 batches of an epoch, and 30 steps, with no limit but its own 100 steps."""
    loop: Any = ExecutionLoop.__new__(ExecutionLoop)
    current, total = SimpleNamespace(ready=20), SimpleNamespace(ready=60)
    loop.batch_progress = SimpleNamespace(current=current, total=total)
    steps = SimpleNamespace(optimizer_steps=30)
    loop.automatic_optimization = SimpleNamespace(optim_progress=steps, is_direct=True)
    vars(loop).update({"max_steps": -1, "_batches_that_stepped": 35, "steps_per_execution": 100, "_intervals": []})
    loop._restarting = False
    loop.trainer = trainer
    vars(loop).update(fields)
    return loop


def trainer_of(**fields: Any) -> Any:
    defaults = {
        "lightning_module": SimpleNamespace(automatic_optimization=True),
        "log_every_n_steps": 0,
        "num_training_batches": 1000,
        "accumulate_grad_batches": 1,
        "val_check_batch": None,
        "check_val_every_n_epoch": 1,
        "world_size": 1,
        "_val_check_time_interval": None,
        "_last_val_time": 0.0,
        "callbacks": [],
        "profiler": PassThroughProfiler(),
        "is_global_zero": True,
    }
    return SimpleNamespace(**defaults | fields)


@pytest.mark.parametrize(
    ("of_trainer", "of_loop", "expected"),
    [
        ({}, {}, 99),
        ({"num_training_batches": 50}, {}, 29),  # the last batch is the 50th: 30 are left
        ({"log_every_n_steps": 50}, {}, 14),  # logged with the 50th step: 35 are made
        ({"log_every_n_steps": 5}, {}, 4),
        ({}, {"_intervals": [50, 40]}, 9),
        ({}, {"max_steps": 33}, 2),
        ({}, {"max_steps": 30}, 0),
        ({"accumulate_grad_batches": 3}, {"max_steps": 33}, 6),  # 18 of 20 are done with: 2 + 4 before the last step
        ({"val_check_batch": 25}, {}, 4),
        ({"val_check_batch": 25, "check_val_every_n_epoch": None}, {}, 14),  # counts over epochs: 60 are done with
        ({"val_check_batch": 25.0}, {"_should_check_val_epoch": lambda: False}, 99),
        ({"val_check_batch": math.inf}, {}, 99),
        ({}, {"_restarting": True}, 0),
    ],
)
def test_an_execution_ends_where_something_is_due(of_trainer: Any, of_loop: Any, expected: int) -> None:
    loop = loop_of(trainer_of(**of_trainer), **{"_should_check_val_epoch": lambda: True} | of_loop)
    assert loop._num_inner_steps() == expected
    loop.batch_progress.total.ready = 0
    assert loop._num_inner_steps() == 0  # callbacks see the first step of all


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 100.5),
        ({"world_size": 2}, math.inf),
        ({"_val_check_time_interval": 5.0, "_last_val_time": 95.25}, 100.25),
        ({"_val_check_time_interval": 6.0, "_last_val_time": 95.25}, 100.5),
        ({"_val_check_time_interval": 6.0, "_last_val_time": 95.25, "world_size": 2}, 101.25),
    ],
)
def test_the_clock_allows_half_a_second(fields: Any, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "time", SimpleNamespace(monotonic=lambda: 100.0))
    assert loop_of(trainer_of(**fields))._deadline() == expected


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(2))

    def __len__(self) -> int:
        return 3


class Watching(Callback):
    def on_train_batch_end(self, *_: Any) -> None:
        """See each step."""


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, []),
        ({"profiler": SimpleProfiler()}, ["SimpleProfiler"]),
        ({"callbacks": [Watching()], "num_training_batches": math.inf}, ["Watching", "a loader without length"]),
        ({"lightning_module": SimpleNamespace(automatic_optimization=False)}, ["manual optimization"]),
        ({"loaders": [SimpleNamespace(dataset=Stream())]}, ["a stream, whose length may be wrong"]),
    ],
)
def test_who_has_to_see_each_step_is_said_once(
    fields: Any, reasons: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lightning_template")
    loaders = fields.get("loaders", [SimpleNamespace(dataset=[1]), [2]])
    loop, fetcher = loop_of(trainer_of(**fields)), SimpleNamespace(combined_loader=SimpleNamespace(flattened=loaders))
    loop.trainer.is_global_zero = False
    assert loop._is_watched(fetcher) == bool(reasons)
    assert caplog.messages == []  # the first rank speaks for all
    loop.trainer.is_global_zero = True
    for _ in range(2):
        assert loop._is_watched(fetcher) == bool(reasons)
    said = [f"one step per execution instead of 100, because of {', '.join(reasons)}"]
    assert caplog.messages == (said if reasons else [])
    iterates = _DataLoaderIterDataFetcher.__new__(_DataLoaderIterDataFetcher)
    iterates._combined_loader = fetcher.combined_loader
    assert loop._is_watched(iterates)


class Fetcher:
    """Fetches batches of a loader as Lightning does."""

    def __init__(self, loaders: Any, length: int | None) -> None:
        flattened = loaders if isinstance(loaders, list) else [loaders]
        iterator = SimpleNamespace(_idx=4, iterators=[iter(["direct", "more"])])
        self.combined_loader = SimpleNamespace(iterables=loaders, flattened=flattened, _iterator=iterator)
        self.length = length
        self.fetched = 5

    def __next__(self) -> tuple[str, int, int]:
        return "by Lightning", 0, 0


@pytest.mark.parametrize(
    ("loaders", "length", "expected"),
    [("a loader", 9, "direct"), ("a loader", None, "by Lightning"), (["a loader"], 9, "by Lightning")],
)
def test_a_batch_of_one_loader_comes_without_a_detour(loaders: Any, length: int | None, expected: str) -> None:
    fetcher: Any = Fetcher(loaders, length)
    assert lightning_loops.next_batch(fetcher) == expected
    counts = (fetcher.fetched, fetcher.combined_loader._iterator._idx)
    assert counts == ((6, 5) if expected == "direct" else (5, 4))


CPU, META = torch.zeros(1), torch.zeros(1, device="meta")


@pytest.mark.parametrize(
    ("batch", "is_direct", "moves"),
    [
        ((CPU, CPU), True, False),
        ((CPU, CPU), False, True),
        ((CPU, META), True, True),
        ((CPU, "a word"), True, True),
    ],
)
def test_a_batch_that_is_on_the_device_stays(
    batch: Any, is_direct: bool, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def move(trainer: Any, hook: str, batch: Any, dataloader_idx: int) -> Any:
        calls.append((hook, batch, dataloader_idx))
        return "moved"

    def before(batch: Any, dataloader_idx: int) -> Any:
        return (*batch, dataloader_idx)

    monkeypatch.setattr("lightning.pytorch.trainer.call._call_strategy_hook", move)
    trainer = trainer_of(
        lightning_module=SimpleNamespace(_on_before_batch_transfer=before),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        precision_plugin=SimpleNamespace(convert_input=lambda batch: batch),
    )
    loop = loop_of(trainer)
    loop.automatic_optimization.is_direct = is_direct
    assert loop._to_device(batch) == ("moved" if moves else batch)
    assert calls == ([("batch_to_device", (*batch, 0), 0)] if moves else [])


class Stepping(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, *_: Any) -> None:
        """Say below that it returns a loss."""

    training_step.returns_loss = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"precision_plugin": MixedPrecision("bf16-mixed", "cpu")}, True),
        ({"precision_plugin": DoublePrecision()}, True),
        ({"precision_plugin": type("Other", (Precision,), {})()}, False),
        ({"strategy": DDPStrategy()}, False),
        ({"num_optimizers": 2}, False),
        ({"num_optimizers": 0}, False),
        ({"optimizer": LBFGS}, False),
        ({"scaler": object()}, False),
    ],
)
def test_a_plain_step_is_made_directly(changes: Any, expected: bool) -> None:
    task = Stepping()
    optimizer = changes.pop("optimizer", SGD)
    precision = changes.pop("precision_plugin", Precision())
    if "scaler" in changes:
        precision.scaler = changes.pop("scaler")
    trainer = SimpleNamespace(
        lightning_module=task,
        datamodule=None,
        callbacks=[],
        optimizers=[optimizer(task.parameters(), lr=0.1)] * changes.pop("num_optimizers", 1),
        precision_plugin=precision,
        strategy=changes.pop("strategy", SingleDeviceStrategy("cpu")),
    )
    assert watchers.steps_directly(trainer) == expected


@pytest.mark.parametrize(
    ("interval", "on_plateau", "on_epoch", "expected"),
    [
        ("epoch", True, None, False),
        ("epoch", True, False, False),
        ("epoch", True, True, True),
        ("step", False, None, False),
        ("step", True, None, True),
    ],
)
def test_an_inner_step_logs_what_is_read(interval: str, on_plateau: bool, on_epoch: Any, expected: bool) -> None:
    calls = []
    module: Any = SimpleNamespace(log=lambda *args, **kwargs: calls.append((args, kwargs)))
    schedule = SimpleNamespace(interval=interval, reduce_on_plateau=on_plateau)
    log = StepLog(trainer_of(lightning_module=module, lr_scheduler_configs=[schedule]))
    own = module.log
    with log.silent():
        module.log("a", 1.0, on_epoch=on_epoch)
        module.log("b", 2.0, True, None, None, on_epoch, "sum", sync_dist=True)
    last = [(("b", 2.0, True, None, None, on_epoch, "sum"), {"sync_dist": True})] * expected
    assert calls[1:] == last
    assert len(calls) == 2 * expected
    assert module.log is own

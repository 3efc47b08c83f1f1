"""Curves of optimizer and machine, against a fixed clock and plain loops."""

import resource
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fitting import fit
from lightning_template.callbacks import BestAndLast, StepMonitor
from lightning_template.engine.dashboard import step_monitor

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

SAMPLES = torch.arange(1.0, 13.0).view(12, 1)


class Clock:
    """A clock that goes on when it is told to."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now


class Slow(LightningModule):
    """Takes 2 seconds for a training step of four samples, 100 for validations, and 30 between epochs."""

    def __init__(self, clock: Clock | None = None, groups: int = 1) -> None:
        super().__init__()
        self.clock = clock or Clock()
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor([0.1 * number + 1])) for number in range(groups)])

    def on_train_start(self) -> None:
        self.clock.now += 7

    def on_train_epoch_end(self) -> None:
        self.clock.now += 30

    def loss(self, batch: Tensor) -> Tensor:
        out: Tensor = sum(weight * batch for weight in self.weights).square().mean()
        return out

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.clock.now += 2
        return self.loss(batch)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.clock.now += 100

    def configure_optimizers(self) -> Any:
        rates = (0.01, 0.02, 0.04)
        groups = [{"params": [weight], "lr": rate} for weight, rate in zip(self.weights, rates, strict=False)]
        optimizer = torch.optim.SGD(groups)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]


class Samples(LightningDataModule):
    """Three batches of four."""

    def __init__(self, validates: bool = True) -> None:
        super().__init__()
        self.validates = validates

    def train_dataloader(self) -> Any:
        return DataLoader(SAMPLES, batch_size=4)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        return DataLoader(SAMPLES, batch_size=6)  # type: ignore[arg-type]


def curve(events: EventAccumulator, tag: str) -> Any:
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(step_monitor, "time", clock)
    return clock


def test_speed_is_that_of_training_alone(clock: Clock, workspace: Path) -> None:
    events = fit(Slow(clock), Samples(), StepMonitor())
    # after 3 steps, 6 seconds of which lie after the start of the clock; at the end of the epoch there is no more
    assert curve(events, "speed/samples_per_second") == [(2, 2.0), (5, 2.0)]


def test_speed_within_an_epoch_is_looked_at_every_few_seconds(
    clock: Clock, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_monitor, "EVERY_SECONDS", 4.0)
    events = fit(Slow(clock), Samples(), StepMonitor(), max_epochs=1, val_check_interval=1)
    assert curve(events, "speed/samples_per_second") == [(1, 2.0), (2, 2.0)]


def test_a_run_that_goes_on_within_an_epoch_has_its_speed(clock: Clock, workspace: Path) -> None:
    fit(Slow(clock), Samples(), StepMonitor(), max_epochs=1, keeper=BestAndLast(every_n_steps=2))
    after_two = workspace / "lightning_logs/run/version_0/checkpoints/previous.ckpt"
    events = fit(Slow(clock), Samples(), StepMonitor(), max_epochs=1, ckpt_path=after_two)
    # one step, and what the module does before it
    assert curve(events, "speed/samples_per_second") == [(2, pytest.approx(4 / (7 + 2)))]


def test_speed_counts_the_samples_of_all_ranks(clock: Clock) -> None:
    monitor = StepMonitor()
    progress = SimpleNamespace(total=SimpleNamespace(ready=10))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(fit_loop=loop, world_size=3, strategy=strategy)
    monitor.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    assert monitor._machine(trainer) == {}  # no batch since then
    monitor._samples_per_batch, monitor._seconds = 4, 8.0
    progress.total.ready = 12
    assert monitor._machine(trainer)["speed/samples_per_second"] == 3 * 2 * 4 / 8
    assert monitor._seconds == 0
    assert monitor._batches == 12


@pytest.mark.parametrize(
    ("batch", "expected"),
    [(SAMPLES, 12), ((torch.tensor(1.0), SAMPLES[:5]), 5), ({"x": [SAMPLES[:3]]}, 3), ("words", 0)],
)
def test_the_number_of_samples_is_that_of_the_first_tensor(batch: Any, expected: int) -> None:
    assert step_monitor.num_samples(batch) == expected


@pytest.mark.parametrize(("groups", "names"), [(1, ["lr"]), (3, ["lr", "lr_1", "lr_2"])])
def test_learning_rates_are_those_of_each_group_and_step(groups: int, names: list[str], workspace: Path) -> None:
    events = fit(Slow(groups=groups), Samples(), StepMonitor())
    for name, rate in zip(names, (0.01, 0.02, 0.04), strict=False):
        expected: list[Any] = [(step, pytest.approx(rate * (1 if step < 3 else 0.5))) for step in range(6)]
        assert curve(events, f"optimizer/{name}") == expected
    assert sum(tag.startswith("optimizer/lr") for tag in events.Tags()["scalars"]) == groups


def test_a_group_is_named_in_its_tag() -> None:
    groups = [
        {"lr": 0.1, "name": "others"},
        {"lr": 0.2, "name": "net.*.bias norms"},
        {"lr": 0.3, "name": "net-bias-norms"},
    ]
    trainer: Any = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=[*groups, {"lr": 0.4}])])
    assert step_monitor.learning_rates(trainer) == {
        "optimizer/lr_others": 0.1,
        "optimizer/lr_net._.bias_norms": 0.2,
        "optimizer/lr_net_bias_norms": 0.3,
        "optimizer/lr_3": 0.4,
    }


def test_the_gradient_norm_is_that_of_all_parameters(workspace: Path) -> None:
    events = fit(Slow(groups=2), Samples(), StepMonitor(), max_epochs=1)
    module = Slow(groups=2)
    optimizer = module.configure_optimizers()[0][0]
    expected = []
    for batch in (SAMPLES[:4], SAMPLES[4:8], SAMPLES[8:]):
        optimizer.zero_grad()
        module.loss(batch).backward()  # type: ignore[no-untyped-call]
        squares = [weight.grad.square().sum().item() for weight in module.parameters() if weight.grad is not None]
        expected.append(pytest.approx(sum(squares) ** 0.5, rel=1e-5))
        optimizer.step()
    assert [value for _, value in curve(events, "optimizer/gradient_norm")] == expected


def test_the_first_loss_is_logged_where_logging_begins_later(workspace: Path) -> None:
    module = Slow()
    loss = module.loss(SAMPLES[:4]).item()
    events = fit(module, Samples(), StepMonitor(), log_every_n_steps=2)
    assert curve(events, "train/loss_step") == [(0, pytest.approx(loss))]
    assert [step for step, _ in curve(events, "optimizer/lr")] == [0, 1, 3, 5]


def test_the_first_loss_is_that_of_a_batch_where_gradients_accumulate(workspace: Path) -> None:
    module = Slow()
    loss = module.loss(SAMPLES[4:8]).item()  # the step is made with the second batch
    events = fit(module, Samples(), StepMonitor(), log_every_n_steps=2, accumulate_grad_batches=2, max_epochs=1)
    assert curve(events, "train/loss_step") == [(0, pytest.approx(loss))]


@pytest.mark.parametrize(("platform", "value"), [("linux", 2**11), ("darwin", 2**21)])
def test_memory_of_the_process_is_in_megabytes(platform: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(
        resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss={resource.RUSAGE_SELF: value}[who])
    )
    assert step_monitor.memory(torch.device("cpu")) == {"memory/process_mb": 2.0}


def test_memory_of_a_gpu_is_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {torch.device("cuda:1"): 3 * 2**20}.__getitem__)
    assert step_monitor.memory(torch.device("cuda:1")) == {"memory/gpu_mb": 3.0}


def test_memory_comes_with_speed(clock: Clock, workspace: Path) -> None:
    events = fit(Slow(clock), Samples(), StepMonitor())
    assert [step for step, _ in curve(events, "memory/process_mb")] == [2, 5]


def test_nothing_is_computed_without_a_logger(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda gradients: pytest.fail("computed"))
    with suppress(IndexError):  # there is no run to read
        fit(Slow(), Samples(), StepMonitor(), fast_dev_run=True)

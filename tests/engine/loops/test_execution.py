"""Executions of several steps leave everything as single steps do: weights, counters, log, checkpoints."""

import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
)
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, AdamW
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_template.callbacks import Executions
from lightning_template.datamodules import LineDataModule
from lightning_template.engine.loops.execution import ExecutionLoop
from lightning_template.engine.loops.resumable import FitLoop
from lightning_template.engine.process.errors import Stopped
from lightning_template.networks import MLP, WithHead
from lightning_template.schedules import Warmup
from lightning_template.tasks import RegressionTask

NUM_BATCHES = 12  # of an epoch: 60 points in batches of 5, and 15 points for validation


class Recorder(Logger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int | None, dict[str, float]]] = []

    name = "recorder"
    version = 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.lines.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


class Validations(Callback):
    """Keeps the steps after which validation ran, with the weights that it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, list[Tensor]]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        weights = [parameter.detach().clone() for parameter in pl_module.parameters()]
        self.seen.append((trainer.global_step, trainer.fit_loop.epoch_loop.batch_idx, weights))


class Net(nn.Sequential):
    """Has what a step could disturb: random numbers and buffers."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))


class ClippingTask(RegressionTask):
    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        nn.utils.clip_grad_value_(self.parameters(), 1e-2)


class OwnStepTask(RegressionTask):
    """Writes a training step of its own, and logs what an epoch has of it."""

    def training_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        inputs, targets = batch
        loss = nn.functional.l1_loss(self(inputs), targets)
        self.log("train/own", loss, on_step=True, on_epoch=True)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return {"loss": loss, "extra": loss}


class WatchingTask(RegressionTask):
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % 5 == 0:
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.mul_(0.9)


class Noise(Callback):
    """Changes gradients within a step."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for parameter in pl_module.parameters():
            if parameter.grad is not None:
                parameter.grad += 0.01 * torch.randn_like(parameter.grad)


class Stopper(Callback):
    """Asks for the end in the middle of an epoch."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        trainer.should_stop = trainer.global_step >= 16


class Streamed(LineDataModule):
    """Has training data of unknown length."""

    def train_dataloader(self) -> Any:
        class Stream(IterableDataset[tuple[Tensor, Tensor]]):
            def __iter__(stream) -> Iterator[tuple[Tensor, Tensor]]:  # noqa: N805
                return iter(LineDataModule.train_dataloader(self))

        return DataLoader(Stream(), batch_size=None)


class Shifting(LineDataModule):
    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        return inputs + 1, targets


Made = dict[str, Any]


class WatchedStepTask(OwnStepTask):
    """Has its schedule watch the loss of each step."""

    monitor = "train/own_step"


class WatchedLossTask(RegressionTask):
    """Has its schedule watch what the base class logs of each step."""

    monitor = "train/loss_step"


COSINE: Any = CosineAnnealingLR
PARTS: Any = [LinearLR, CosineAnnealingLR]
SHARES: Any = [0.5]
CHAIN: Any = [LinearLR, partial(ExponentialLR, gamma=0.9)]
SCHEDULES: dict[str, Made] = {
    "one cycle by step": {"lr_scheduler": partial(OneCycleLR, max_lr=0.02), "lr_scheduler_interval": "step"},
    "by epoch": {"lr_scheduler": partial(StepLR, step_size=1, gamma=0.5)},
    "warm-up and cosine by epoch": {"lr_scheduler": partial(Warmup, steps=7, after=COSINE)},
    "warm-up and plateau": {
        "lr_scheduler": partial(Warmup, epochs=1.2, after=partial(ReduceLROnPlateau, patience=0, factor=0.5)),
    },
    "a sequence by step": {
        "lr_scheduler": partial(SequentialLR, schedulers=PARTS, milestones=SHARES),
        "lr_scheduler_interval": "step",
    },
    "a chain by step": {
        "lr_scheduler": partial(ChainedScheduler, schedulers=CHAIN),
        "lr_scheduler_interval": "step",
    },
    "groups": {
        "optimizer_groups": {"biases_and_norms": {"momentum": 0.5}, "network.4": {"lr": 0.001}},
        "lr_scheduler": partial(OneCycleLR, max_lr=0.02),
        "lr_scheduler_interval": "step",
    },
    "plateau": {"lr_scheduler": partial(ReduceLROnPlateau, patience=0, factor=0.5)},
}
LAMBDA: Made = {"lr_scheduler": partial(LambdaLR, lr_lambda=lambda epoch: 0.5**epoch)}


def finetuning(schedule: Made) -> Made:
    return {
        "callbacks": [BackboneFinetuning(unfreeze_backbone_at_epoch=1)],
        "options": {"network": lambda: WithHead(MLP(1, [8, 8], 1), 1), **schedule},
    }


QUICK: dict[str, Callable[[], Made]] = {
    "as it is": dict,
    "max_steps": lambda: {"max_steps": 17},
    "limit_train_batches": lambda: {"limit_train_batches": 11},
    "a fraction of the batches": lambda: {"limit_train_batches": 0.5},
    "accumulate_grad_batches": lambda: {"accumulate_grad_batches": 5},
    "accumulate_grad_batches and max_steps": lambda: {"accumulate_grad_batches": 5, "max_steps": 4},
    "clipping by norm": lambda: {"gradient_clip_val": 0.05},
    "clipping by value": lambda: {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": "value"},
    "clipping of its own": lambda: {"task": ClippingTask},
    "clipping of its own, by a value": lambda: {"task": ClippingTask, "gradient_clip_val": 0.05},
    "bf16-mixed": lambda: {"precision": "bf16-mixed"},
    "bf16-true": lambda: {"precision": "bf16-true"},
    "64-true": lambda: {"precision": "64-true"},
    **{name: partial(dict, options=options) for name, options in SCHEDULES.items()},
    "plateau by step": lambda: {
        "task": WatchedStepTask,
        "options": {
            "lr_scheduler": partial(ReduceLROnPlateau, patience=1, factor=0.9),
            "lr_scheduler_interval": "step",
        },
    },
    "plateau by step of what a step alone logs": lambda: {
        "task": WatchedLossTask,
        "options": {
            "lr_scheduler": partial(ReduceLROnPlateau, patience=1, factor=0.9),
            "lr_scheduler_interval": "step",
        },
    },
    "one cycle, accumulating": lambda: {"options": SCHEDULES["one cycle by step"], "accumulate_grad_batches": 5},
    "val_check_interval": lambda: {"val_check_interval": 5},
    "val_check_interval over epochs": lambda: {"val_check_interval": 8, "check_val_every_n_epoch": None},
    "log_every_n_steps": lambda: {"log_every_n_steps": 3},
    "no logger": lambda: {"logger": False},
    "overfit_batches": lambda: {"overfit_batches": 9},
    "fast_dev_run": lambda: {"fast_dev_run": 9},
    "early stopping": lambda: {
        "callbacks": [EarlyStopping("val/loss", patience=0, min_delta=1e3)],
        "val_check_interval": 5,
    },
    "learning rate monitor": lambda: {"callbacks": [LearningRateMonitor()], "log_every_n_steps": 3},
    "timer": lambda: {"callbacks": [Timer(duration="00:01:00:00")]},
    "gradients changed by a callback": lambda: {"callbacks": [Noise()]},
    "data changed on the way": lambda: {"data": Shifting},
    "a training step of its own": lambda: {"task": OwnStepTask, "log_every_n_steps": 3},
    "L-BFGS": lambda: {
        "options": {"optimizer": partial(LBFGS, lr=0.1, max_iter=3), "network": partial(MLP, 1, [3], 1)}
    },
    "AdamW": lambda: {"options": {"optimizer": partial(AdamW, lr=0.01)}},
    "a worker": lambda: {"data_options": {"num_workers": 1}},
}
for _name, _schedule in {"": {}, ", one cycle": SCHEDULES["one cycle by step"], ", lambda": LAMBDA}.items():
    QUICK[f"backbone finetuning{_name}"] = partial(finetuning, _schedule)
"""Options of runs in executions of several steps."""

SINGLE: dict[str, tuple[str, Callable[[], Made]]] = {
    "moving average": ("EMAWeightAveraging", lambda: {"callbacks": [EMAWeightAveraging(decay=0.5)]}),
    "a callback that stops": ("Stopper", lambda: {"callbacks": [Stopper()]}),
    "a task that watches": ("WatchingTask", lambda: {"task": WatchingTask}),
    "unknown length": ("a loader without length", lambda: {"data": Streamed}),
    "profiler": ("SimpleProfiler", lambda: {"profiler": "simple"}),
}
"""Options of runs in which each step is an execution, and who needs that."""


def fit(made: Made, steps_per_execution: int, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    """Fit as `made` says, and return everything that a run leaves."""
    made = Made({"max_epochs": 3, "log_every_n_steps": 6, "logger": True} | made)
    task_class, data_class = made.pop("task", RegressionTask), made.pop("data", LineDataModule)
    options, data_options = dict(made.pop("options", {})), made.pop("data_options", {})
    recorder, validations = Recorder(), Validations()
    made["logger"] = recorder if made["logger"] else False
    made["callbacks"] = [
        *made.get("callbacks", ()),
        validations,
        Executions(steps_per_execution, made.pop("compile", None)),
    ]
    num_inner = 0
    inner_step = ExecutionLoop.inner_step

    def counted(self: ExecutionLoop, data_fetcher: Any) -> None:
        nonlocal num_inner
        num_inner += 1
        inner_step(self, data_fetcher)

    monkeypatch.setattr(ExecutionLoop, "inner_step", counted)
    monkeypatch.setattr("lightning_template.engine.loops.execution.MAX_SECONDS", 60.0)
    torch.manual_seed(0)
    network = options.pop("network", Net)()
    defaults: Made = {"loss": nn.MSELoss(), "optimizer": partial(SGD, lr=0.01, momentum=0.9)}
    task = task_class(network, **defaults | options)
    data = data_class(num_points=75, batch_size=5, val_fraction=0.2, **data_options)
    silent: Made = dict.fromkeys(["enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(accelerator="cpu", **silent | made)
    trainer.fit(task, data, **more)
    monkeypatch.undo()
    return {
        "weights": task.state_dict(),
        "optimizer": _without_names(trainer.optimizers[0].state_dict()),
        "schedule": [_numbers(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs],
        "progress": trainer.fit_loop.state_dict(),
        "log": recorder.lines,
        "metrics": trainer.callback_metrics,
        "validations": validations.seen,
        "callbacks": [callback.state_dict() for callback in made["callbacks"]],
        "random state": torch.get_rng_state(),
        "num_inner": num_inner,
        "trainer": trainer,
    }


def _without_names(state: dict[str, Any]) -> dict[str, Any]:
    groups = [{key: value for key, value in group.items() if key != "name"} for group in state["param_groups"]]
    return state | {"param_groups": groups}


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, int | float | list) and name != "_schedule_phases"
    }


def assert_same(one: dict[str, Any], several: dict[str, Any]) -> None:
    """Metrics are sums of floats in another order; all else is equal to the bit."""
    for key in one.keys() - {"num_inner", "trainer", "log", "metrics", "callbacks"}:
        torch.testing.assert_close(several[key], one[key], rtol=0, atol=0, msg=f"{key}: {{}}".format)
    for key in ("log", "metrics"):
        torch.testing.assert_close(several[key], one[key], rtol=1e-5, atol=1e-6, msg=f"{key}: {{}}".format)


@pytest.mark.parametrize("name", QUICK)
def test_executions_of_several_steps_are_as_single_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = (fit(QUICK[name](), steps, monkeypatch) for steps in (1, 4))
    assert one["num_inner"] == 0
    assert several["num_inner"] >= 3
    assert_same(one, several)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "lightning_template"]


@pytest.mark.parametrize("name", SINGLE)
def test_who_has_to_see_each_step_does(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    who, make = SINGLE[name]
    with caplog.at_level(logging.INFO, "lightning_template"):
        one = fit(make(), 1, monkeypatch)
        assert not said(caplog)
        several = fit(make(), 4, monkeypatch)
    assert said(caplog) == [f"one step per execution instead of 4, because of {who}"]
    assert several["num_inner"] == 0
    assert_same(one, several)


@pytest.mark.parametrize("steps", [2, 3, 4, 100])
def test_an_execution_has_as_many_steps_as_asked_for(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    several = fit({"max_epochs": 1, "log_every_n_steps": NUM_BATCHES}, steps, monkeypatch)
    assert several["num_inner"] == NUM_BATCHES - 1 - -(-(NUM_BATCHES - 1) // steps)  # the first step is on its own


def test_the_clock_ends_an_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 30.0  # half of what `fit` lets an execution last
        return now

    monkeypatch.setattr("lightning_template.engine.loops.execution.time.monotonic", clock)
    assert 0 < fit({"max_epochs": 1}, 100, monkeypatch)["num_inner"] < NUM_BATCHES - 3


@pytest.mark.parametrize(("steps", "expected"), [(1, [5, 10, 15, 20]), (100, [6, 12, 18, 24])])
def test_validation_by_the_clock_comes_at_most_one_step_late(
    steps: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    num_steps = 0

    def count(*_: Any) -> None:
        nonlocal num_steps
        num_steps += 1

    made = {"val_check_interval": timedelta(seconds=5), "max_epochs": 2, "log_every_n_steps": NUM_BATCHES}
    with pytest.MonkeyPatch.context() as clock:  # a step takes a second
        clock.setattr("time.monotonic", lambda: float(num_steps))
        hook = register_optimizer_step_post_hook(count)
        result = fit(made, steps, monkeypatch)
        hook.remove()
    assert [step for step, _, _ in result["validations"]] == expected
    assert (result["num_inner"] > 0) == (steps > 1)


@pytest.mark.parametrize("steps", [1, 100])
def test_a_signal_ends_an_execution_after_the_step_in_which_it_comes(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_steps = 0

    def count(*_: Any) -> None:
        nonlocal num_steps
        num_steps += 1
        if num_steps == 5:
            signal.raise_signal(signal.SIGTERM)

    hook = register_optimizer_step_post_hook(count)
    try:
        with pytest.raises(Stopped) as stopped:
            fit({"log_every_n_steps": NUM_BATCHES}, steps, monkeypatch)
    finally:
        hook.remove()
        monkeypatch.undo()
    assert (stopped.value.number, stopped.value.step, num_steps) == (signal.SIGTERM, 5, 5)


@pytest.mark.parametrize("steps", [1, 4])
def test_checkpoints_every_n_steps_hold_the_weights_of_that_step(
    steps: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    callback = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=7)
    fit({"callbacks": [callback], "enable_checkpointing": True}, steps, monkeypatch)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["step=14", "step=21", "step=28", "step=35", "step=7"]
    for path in tmp_path.iterdir():
        number = int(path.stem.removeprefix("step="))
        reference = fit({"max_epochs": -1, "max_steps": number}, 1, monkeypatch)
        saved = torch.load(path, weights_only=True)
        assert saved["global_step"] == number
        network = {name: value for name, value in reference["weights"].items() if name.startswith("network.")}
        assert all(torch.equal(saved["state_dict"][name], value) for name, value in network.items())


def test_a_checkpoint_of_every_epoch_needs_no_single_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = {"callbacks": [ModelCheckpoint(tmp_path)], "enable_checkpointing": True, "log_every_n_steps": NUM_BATCHES}
    assert fit(made, 100, monkeypatch)["num_inner"] == 3 * (NUM_BATCHES - 1) - 1


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize("stop", [12, 17])
def test_a_run_may_go_on_with_another_number_of_steps(
    stop: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = []
    for first, second in ((1, 1), (4, 1), (1, 4), (4, 4)):
        path = tmp_path / f"{first}-{second}.ckpt"
        fit({"max_steps": stop}, first, monkeypatch)["trainer"].save_checkpoint(path)
        results.append(fit({}, second, monkeypatch, ckpt_path=path, weights_only=True))
    assert results[3]["num_inner"] > 0
    for result in results[1:]:
        assert_same(results[0], result)


def test_manual_optimization_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Manual(RegressionTask):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.automatic_optimization = False

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            return loss

    with caplog.at_level(logging.INFO, "lightning_template"):
        manual = fit({"task": Manual}, 4, monkeypatch)
    assert "manual optimization" in caplog.text
    assert_same(
        {"weights": fit({}, 1, monkeypatch)["weights"], "log": [], "metrics": {}}, manual | {"log": [], "metrics": {}}
    )


def test_an_interrupted_run_leaves_nothing_to_the_next() -> None:
    class Interrupt(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            if trainer.global_step == 7:
                raise RuntimeError("interrupted")

    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=0.0))
    data = LineDataModule(num_points=75, batch_size=5, val_fraction=0.2)
    silent: Made = dict.fromkeys(
        ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
    )
    with pytest.raises(RuntimeError, match="interrupted"):
        Trainer(accelerator="cpu", max_epochs=1, callbacks=[Interrupt()], **silent).fit(task, data)
    trainer = Trainer(accelerator="cpu", max_epochs=1, **silent)
    trainer.fit(task, data)
    assert data.train_set is not None
    inputs, targets = (part[data.train_set.indices] for part in (data.train_set.inputs, data.train_set.targets))
    expected = nn.functional.mse_loss(task(inputs), targets).item()
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected)
    assert trainer.callback_metrics["train/mse"].item() == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:You defined a `validation_step`")
def test_a_trainer_that_is_used_again_calls_the_hooks_of_the_next_module() -> None:
    class Other(LightningModule):
        num_calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            out: Tensor = self.layer(batch[0]).mean()
            return out

        def on_after_backward(self) -> None:
            self.num_calls += 1

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return SGD(self.parameters(), lr=0.1)

    silent: Made = dict.fromkeys(
        ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
    )
    trainer = Trainer(accelerator="cpu", max_epochs=1, callbacks=[Executions()], **silent)
    data = DataLoader(TensorDataset(torch.randn(60, 1), torch.randn(60, 1)), batch_size=5)
    trainer.fit(RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=0.0)), data)
    assert trainer.fit_loop.epoch_loop.automatic_optimization.is_direct  # type: ignore[attr-defined]
    trainer.fit_loop.max_epochs = 2
    other = Other()
    trainer.fit(other, data)
    assert other.num_calls == NUM_BATCHES


class LoggingTask(RegressionTask):
    """Logs, besides the base class, what is read of a step and what is read of an epoch."""

    num_calls = 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("train/batch", float(batch_idx))
        self.log("train/mean", float(batch_idx), on_epoch=True)
        return loss

    def log(self, *args: Any, **kwargs: Any) -> None:
        self.num_calls += self.trainer.training
        super().log(*args, **kwargs)


@pytest.mark.parametrize("steps", [1, NUM_BATCHES])
def test_a_log_costs_nothing_in_an_inner_step_unless_the_epoch_needs_it(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fit({"task": LoggingTask, "max_epochs": 2, "log_every_n_steps": NUM_BATCHES}, steps, monkeypatch)
    task, metrics = result["trainer"].lightning_module, result["metrics"]
    assert metrics["train/mean_epoch"].item() == pytest.approx(sum(range(NUM_BATCHES)) / NUM_BATCHES)
    assert metrics["train/batch"].item() == metrics["train/mean_step"].item() == NUM_BATCHES - 1
    num_steps, num_at_ends = 2 * NUM_BATCHES - result["num_inner"], 2 * 4  # train/loss, mae, mse and r2
    assert task.num_calls == num_at_ends + 3 * num_steps + result["num_inner"]
    assert (result["num_inner"] > 0) == (steps > 1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:You defined a `validation_step`")
@pytest.mark.parametrize("callbacks", [[], [Executions()]])
def test_loops_are_lightnings_own_without_executions(callbacks: list[Callback]) -> None:
    silent: Made = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"], False)
    trainer = Trainer(accelerator="cpu", fast_dev_run=2, enable_model_summary=False, callbacks=callbacks, **silent)
    trainer.fit(RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=0.0)), LineDataModule())
    assert isinstance(trainer.fit_loop, FitLoop) == bool(callbacks)


def test_a_compiled_module_needs_a_network() -> None:
    with pytest.raises(ValueError, match="`compile_mode` compiles `network`, which LightningModule does not have"):
        Executions(compile_mode="default").setup(Trainer(accelerator="cpu"), LightningModule(), "fit")


def test_less_than_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0"):
        Executions(0)


@pytest.mark.slow
def test_compiling_is_in_place() -> None:
    plain, compiled = (RegressionTask(MLP(1, [3], 1), nn.MSELoss(), partial(SGD, lr=0.1)) for _ in range(2))
    executions = Executions(compile_mode="reduce-overhead")
    for _ in range(2):
        executions.setup(Trainer(accelerator="cpu"), compiled, "test")
    assert plain.network._compiled_call_impl is None
    assert compiled.network._compiled_call_impl is not None
    assert compiled.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU with g++")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_network_learns_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"network": partial(MLP, 1, [8], 1)}
    plain = fit({"options": dict(options)}, 4, monkeypatch)
    compiled = fit({"options": dict(options), "compile": mode}, 4, monkeypatch)
    torch.testing.assert_close(compiled["weights"], plain["weights"])

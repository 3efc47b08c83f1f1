"""The loop, checked against plain PyTorch loops and through a task that is defined here."""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LRSchedulerCallable
from lightning.pytorch.loggers.logger import DummyLogger
from sklearn.linear_model import QuantileRegressor
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau
from torchmetrics import MeanAbsoluteError, MetricCollection

from lightning_template.datamodules import LineDataModule
from lightning_template.engine.tasks.hyper_parameters import constructor_arguments, is_plain, plain_values
from lightning_template.networks import MLP
from lightning_template.tasks import SupervisedTask

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
OPTIMIZERS: dict[str, OptimizerFactory] = {
    "SGD": partial(SGD, lr=1e-2),
    "momentum": partial(SGD, lr=1e-2, momentum=0.9),
    "Adam": partial(Adam, lr=1e-2),
    "RMSprop": partial(RMSprop, lr=1e-2),
}
SILENT: dict[str, Any] = dict.fromkeys(
    ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
)


class PinballLoss(nn.Module):
    def __init__(self, quantile: float) -> None:
        super().__init__()
        self.quantile = quantile

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        error = targets - outputs
        return torch.maximum(self.quantile * error, (self.quantile - 1) * error).mean()


class QuantileTask(SupervisedTask):
    """Quantile regression with the pinball loss."""

    def __init__(self, network: nn.Module, quantile: float = 0.5, **kwargs: Any) -> None:
        super().__init__(network, PinballLoss(quantile), **kwargs)

    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError()})


class MinimalTask(SupervisedTask):
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError()})


def make_trainer(**options: Any) -> Trainer:
    return Trainer(accelerator="cpu", **SILENT | options)


def make_task(**options: Any) -> MinimalTask:
    defaults: dict[str, Any] = {"network": MLP(1, [4], 1), "loss": nn.MSELoss(), "optimizer": OPTIMIZERS["SGD"]}
    return MinimalTask(**defaults | options)


def make_line(**options: Any) -> LineDataModule:
    return LineDataModule(**{"num_points": 50, "low": -1.0, "high": 1.0, "batch_size": 12, "shuffle": False} | options)


def test_a_task_must_say_what_it_measures() -> None:
    with pytest.raises(TypeError, match=r"abstract class SupervisedTask .* abstract method '?configure_metrics"):
        SupervisedTask(nn.Identity(), nn.MSELoss(), OPTIMIZERS["SGD"])  # type: ignore[abstract]


@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_a_quantile_task_finds_the_quantile(quantile: float) -> None:
    data = make_line(num_points=1000, batch_size=100, shuffle=True, val_fraction=0.0)
    task = QuantileTask(
        MLP(1, [], 1), quantile, optimizer=partial(Adam, lr=0.5), lr_scheduler=partial(ExponentialLR, gamma=0.75)
    )
    trainer = make_trainer(max_epochs=15, limit_val_batches=0)
    trainer.fit(task, data)
    assert data.train_set is not None
    x, y = data.train_set.inputs, data.train_set.targets
    reference = QuantileRegressor(quantile=quantile, alpha=0).fit(x.numpy(), y.numpy().ravel())
    with torch.no_grad():
        assert task(torch.tensor([[0.0]])).item() == pytest.approx(reference.intercept_, abs=0.03)
        # the quantile of the distribution that the noise is drawn from, within three standard errors
        normal = NormalDist(mu=2, sigma=0.5).inv_cdf(quantile)
        assert task(torch.tensor([[0.0]])).item() == pytest.approx(normal, abs=0.08)
        assert (task(x) >= y).float().mean().item() == pytest.approx(quantile, abs=0.02)
    tables: Any = trainer.predict(task, data)
    value, target = (torch.cat([table[name] for table in tables]) for name in ("value", "target"))
    assert (value >= target).float().mean().item() == pytest.approx(quantile, abs=0.04)


def test_a_misspelt_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="lr_schedule'"):
        QuantileTask(MLP(1, [], 1), 0.9, optimizer=OPTIMIZERS["SGD"], lr_schedule=None)


def test_metrics_are_named_after_the_stage() -> None:
    trainer, task, data = make_trainer(max_epochs=1), make_task(), make_line()
    trainer.fit(task, data)
    train = {"train/loss", "train/loss_step", "train/mae"}
    assert trainer.callback_metrics.keys() == train | {"val/loss", "val/mae"}
    (tested,) = trainer.test(task, data, verbose=False)
    assert tested.keys() == {"test/loss", "test/mae"}


def test_the_progress_bar_shows_the_losses_of_steps_and_of_validation() -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(make_task(), make_line())
    assert trainer.progress_bar_metrics.keys() == {"train/loss_step", "val/loss"}


def test_metrics_are_logged_once_in_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call costs as much as a small step."""
    names = []
    log = MinimalTask.log

    def count(task: MinimalTask, name: str, *args: Any, **kwargs: Any) -> None:
        names.append(name)
        log(task, name, *args, **kwargs)

    monkeypatch.setattr(MinimalTask, "log", count)
    task = make_task()
    make_trainer(max_epochs=3, num_sanity_val_steps=0).fit(task, make_line())  # 4 batches in an epoch
    assert [names.count(name) for name in ("train/loss_step", "train/loss", "val/loss")] == [12, 3, 3]


def test_a_task_leaves_it_to_others_to_log_its_hyper_parameters() -> None:
    logged = []

    class Recorder(DummyLogger):
        def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
            logged.append(args)

    make_trainer(max_epochs=1, log_every_n_steps=1, logger=Recorder()).fit(make_task(), make_line())
    assert logged == []


def test_an_epoch_is_measured_sample_by_sample() -> None:
    data = make_line(eval_batch_size=4, batch_size=7)  # 45 and 5 samples: both end in a smaller batch
    task = make_task(optimizer=partial(SGD, lr=0.0))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, data)
    for stage, batches in (("train", data.train_set), ("val", data.val_set)):
        assert batches is not None
        x, y = batches.inputs[batches.indices], batches.targets[batches.indices]
        with torch.no_grad():
            error = task.network(x) - y
        assert trainer.callback_metrics[f"{stage}/loss"].item() == pytest.approx(error.square().mean().item(), rel=1e-5)
        assert trainer.callback_metrics[f"{stage}/mae"].item() == pytest.approx(error.abs().mean().item(), rel=1e-5)
        parts = torch.stack([part.square().mean() for part in torch.split(error, 4 if stage == "val" else 7)])
        assert parts.mean().item() != pytest.approx(error.square().mean().item(), rel=1e-5)  # the wrong mean differs


def test_a_loss_that_is_not_a_number_is_not_hidden() -> None:
    data = make_line(val_fraction=0.0, val_on_test=True, eval_batch_size=10)
    data.setup("validate")
    assert data.val_set is not None
    data.val_set.targets[17] = torch.nan
    (measured,) = make_trainer().validate(make_task(), data, verbose=False)
    assert math.isnan(measured["val/loss"])


def train_plainly(network: nn.Module, factory: OptimizerFactory, x: Tensor, y: Tensor, num_epochs: int) -> nn.Module:
    network = copy.deepcopy(network)
    optimizer, loss = factory(network.parameters()), nn.MSELoss()
    for _ in range(num_epochs):
        for inputs, targets in zip(torch.split(x, 12), torch.split(y, 12), strict=True):
            optimizer.zero_grad()
            loss(network(inputs), targets).backward()
            optimizer.step()
    return network


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_that_of_a_plain_loop(name: str) -> None:
    task, data = make_task(optimizer=OPTIMIZERS[name]), make_line(val_fraction=0.0)
    before = copy.deepcopy(task.network)
    make_trainer(max_epochs=3, limit_val_batches=0).fit(task, data)
    assert data.train_set is not None
    x, y = data.train_set.inputs, data.train_set.targets
    after, shorter = (train_plainly(before, OPTIMIZERS[name], x, y, num_epochs) for num_epochs in (3, 2))
    for weight, expected in zip(task.network.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    pairs = zip(task.network.parameters(), shorter.parameters(), strict=True)
    assert all((weight - other).abs().max() > 1e-4 for weight, other in pairs)


def test_frozen_parameters_are_left_out() -> None:
    network = MLP(1, [4], 1)
    network[1].requires_grad_(False)
    frozen, _, free, _ = copy.deepcopy(list(network.parameters()))
    task = make_task(network=network, optimizer=partial(SGD, lr=1e-2, weight_decay=0.1))
    optimizer = task.configure_optimizers()
    assert isinstance(optimizer, Optimizer)
    (group,) = optimizer.param_groups
    assert [id(weight) for weight in group["params"]] == [id(weight) for weight in network[3].parameters()]
    make_trainer(max_epochs=1, limit_val_batches=0).fit(task, make_line(val_fraction=0.0))
    first, _, second, _ = network.parameters()
    assert torch.equal(first, frozen)
    assert not torch.equal(second, free)


class Rates(Callback):
    """Keeps the learning rate of each optimizer step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self.values.append(optimizer.param_groups[0]["lr"])


def torch_rates(factory: LRSchedulerCallable, num_steps: int, steps_each: int) -> list[float]:
    """Learning rate of each step where torch's own schedule moves after each `steps_each` of them."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler: Any = factory(optimizer)
    rates = []
    for step in range(1, num_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % steps_each == 0 and step < num_steps:
            scheduler.step()
    return rates


def lightning_rates(factory: LRSchedulerCallable, interval: str, **options: Any) -> list[float]:
    rates = Rates()
    task = make_task(optimizer=partial(SGD, lr=0.1, momentum=0.9), lr_scheduler=factory, lr_scheduler_interval=interval)
    trainer = make_trainer(callbacks=[rates], limit_val_batches=0, **options)
    trainer.fit(task, make_line(val_fraction=0.0))  # 5 batches in an epoch
    return rates.values


ONE_CYCLE: Any = partial(OneCycleLR, max_lr=1.0)
RUNS: list[tuple[dict[str, int], int]] = [
    ({"max_epochs": 3}, 15),
    ({"max_epochs": 3, "accumulate_grad_batches": 2}, 9),
    ({"max_epochs": 3, "limit_train_batches": 2}, 6),
    ({"max_steps": 7}, 7),
]


@pytest.mark.parametrize(("options", "num_steps"), RUNS)
def test_one_cycle_by_step_has_the_length_of_the_run(options: dict[str, int], num_steps: int) -> None:
    rates = lightning_rates(ONE_CYCLE, "step", **options)
    assert rates == pytest.approx(torch_rates(partial(ONE_CYCLE, total_steps=num_steps), num_steps, 1))
    assert rates[-1] < 1e-4 * max(rates)  # it ends where the cycle ends


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using 'interval':RuntimeWarning")  # on purpose
def test_one_cycle_by_epoch_has_the_length_of_the_run() -> None:
    rates = lightning_rates(ONE_CYCLE, "epoch", max_epochs=4)
    assert rates == pytest.approx(torch_rates(partial(ONE_CYCLE, total_steps=4), 20, 5))
    assert len(set(rates)) == 4


@pytest.mark.parametrize(("interval", "steps_each"), [("step", 1), ("epoch", 5)])
def test_a_schedule_without_length_is_left_alone(interval: str, steps_each: int) -> None:
    factory: Any = partial(ExponentialLR, gamma=0.5)
    assert lightning_rates(factory, interval, max_epochs=2) == pytest.approx(torch_rates(factory, 10, steps_each))


@pytest.mark.parametrize("length", [{"total_steps": 40}, {"epochs": 8, "steps_per_epoch": 5}])
def test_a_length_that_is_given_is_kept(length: dict[str, int]) -> None:
    factory = partial(ONE_CYCLE, **length)
    rates = lightning_rates(factory, "step", max_epochs=2)
    assert rates == pytest.approx(torch_rates(partial(ONE_CYCLE, total_steps=40), 10, 1))
    assert rates != pytest.approx(torch_rates(partial(ONE_CYCLE, total_steps=10), 10, 1))


@pytest.mark.parametrize(
    ("interval", "options"),
    [("step", {"max_epochs": -1}), ("epoch", {"max_epochs": -1}), ("epoch", {"max_steps": 5})],
)
def test_one_cycle_needs_a_run_with_an_end(interval: str, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="the learning rate schedule needs `total_steps`: set it or `max_epochs`"):
        lightning_rates(ONE_CYCLE, interval, **options)


class ScriptedTask(MinimalTask):
    """Logs given numbers as what it monitors."""

    monitor = "val/scripted"
    script = (3.0, 2.0, 2.5, 2.6, 1.0, 1.1, 1.2, 1.3)

    def on_validation_epoch_end(self) -> None:
        self.log("val/scripted", self.script[self.current_epoch])


class RisingTask(ScriptedTask):
    mode = "max"


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(("task_class", "mode"), [(ScriptedTask, "min"), (RisingTask, "max")])
def test_a_plateau_schedule_watches_the_monitor(
    task_class: type[ScriptedTask], mode: Literal["min", "max"], given: bool
) -> None:
    by_hand = partial(ReduceLROnPlateau, mode=mode, patience=0)
    factory = by_hand if given else partial(ReduceLROnPlateau, patience=0)
    rates, task = Rates(), task_class(MLP(1, [], 1), nn.MSELoss(), partial(SGD, lr=1.0e-3), factory)
    trainer = make_trainer(max_epochs=8, num_sanity_val_steps=0, callbacks=[rates])
    trainer.fit(task, make_line(batch_size=45))
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0e-3)
    scheduler, expected = by_hand(optimizer), []
    for number in ScriptedTask.script:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(number)
    assert rates.values == pytest.approx(expected)
    assert len(set(rates.values)) > 3  # `val/loss` falls all the time: by it the rate would never change


def test_a_plateau_schedule_must_look_the_same_way_as_the_task() -> None:
    task = RisingTask(MLP(1, [], 1), nn.MSELoss(), OPTIMIZERS["SGD"], partial(ReduceLROnPlateau, mode="min"))
    with pytest.raises(ValueError, match="`mode` of `ReduceLROnPlateau` must be max for this task, got min"):
        make_trainer(max_epochs=1).fit(task, make_line())


def test_a_checkpoint_of_a_task_made_in_python(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"optimizer": OPTIMIZERS["Adam"], "lr_scheduler": ONE_CYCLE}
    task = QuantileTask(MLP(1, [4], 1), 0.9, lr_scheduler_interval="step", **parts)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(task, make_line())
    trainer.save_checkpoint(path := tmp_path / "task.ckpt")
    saved = torch.load(path, weights_only=True)
    assert task.hparams == saved["hyper_parameters"]
    assert saved["hyper_parameters"] == {"quantile": 0.9, "lr_scheduler_interval": "step"}
    assert saved["global_step"] == 2 * 4

    loaded = QuantileTask.load_from_checkpoint(path, network=MLP(1, [4], 1), **parts)
    x = torch.linspace(-1, 1, 9).unsqueeze(1)
    with torch.no_grad():
        assert torch.equal(loaded(x), task(x))
        assert not torch.equal(MLP(1, [4], 1)(x), task(x))
    assert isinstance(loaded.loss, PinballLoss)
    assert loaded.loss.quantile == 0.9
    with pytest.raises(TypeError, match="network"):
        QuantileTask.load_from_checkpoint(path, **parts)


class FixedTask(MinimalTask):
    """Leaves no choice of an argument of its base."""

    def __init__(self, network: nn.Module, **kwargs: Any) -> None:
        super().__init__(network=network, loss=nn.MSELoss(), lr_scheduler_interval="step", **kwargs)


def test_a_checkpoint_of_a_task_that_fixes_arguments_of_its_base(tmp_path: Path) -> None:
    task = FixedTask(MLP(1, [4], 1), optimizer=OPTIMIZERS["SGD"])
    assert set(constructor_arguments(task)) == {"network", "optimizer"}
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, make_line())
    trainer.save_checkpoint(path := tmp_path / "task.ckpt")
    loaded = FixedTask.load_from_checkpoint(path, network=MLP(1, [4], 1), optimizer=OPTIMIZERS["SGD"])
    assert loaded.lr_scheduler_interval == "step"


def test_a_checkpoint_of_a_task_without_arguments_of_its_own(tmp_path: Path) -> None:
    task = make_task()
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, make_line())
    trainer.save_checkpoint(path := tmp_path / "task.ckpt")
    loaded = MinimalTask.load_from_checkpoint(
        path, network=MLP(1, [4], 1), loss=nn.MSELoss(), optimizer=OPTIMIZERS["SGD"]
    )
    x = torch.linspace(-1, 1, 9).unsqueeze(1)
    assert torch.equal(loaded(x), task(x))


def test_steps_need_no_trainer() -> None:
    task, batch = make_task(), (torch.rand(5, 1), torch.rand(5, 1))
    loss = task.training_step(batch, 0)
    with torch.no_grad():
        expected = nn.functional.mse_loss(task.network(batch[0]), batch[1])
        assert torch.equal(task.validation_step(batch, 0), task.network(batch[0]))
        task.test_step(batch, 0)
    assert loss.item() == expected.item()
    for stage, measures in (("train", task.train_measures), ("val", task.val_measures), ("test", task.test_measures)):
        results = {name: metric.compute().item() for name, metric in measures.results().items()}
        assert results == {f"{stage}/loss": loss.item(), f"{stage}/mae": pytest.approx(results[f"{stage}/mae"])}
    task.on_validation_epoch_end()  # logs nothing, and does not fail


def test_predictions_with_and_without_targets() -> None:
    task, (x, y) = make_task(), torch.rand(2, 5, 1)
    with_targets, without = task.predict_step((x, y), 0), task.predict_step(x, 0)
    assert list(with_targets) == ["value", "target"]
    assert list(without) == ["value"]
    for table in (with_targets, without):
        assert torch.equal(table["value"], task.network(x))
    assert torch.equal(with_targets["target"], y)


class Text(str):
    __slots__ = ()


class Pairs(dict[str, int]):
    pass


PLAIN = [None, True, 3, 2.5, "text", [1, [2.0, "x"]], (1, None), {"a": {"b": [True]}}, [], {}]
NOT_PLAIN = [object(), nn.ReLU(), SGD, Path("x"), {1, 2}, torch.zeros(1).numpy()[0], Text("x"), Pairs(a=1), {1: 2}]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_survive_weights_only_loading(value: object, tmp_path: Path) -> None:
    assert is_plain(value)
    torch.save(value, tmp_path / "value")
    assert torch.load(tmp_path / "value", weights_only=True) == value


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_other_values_are_not_plain(value: object) -> None:
    assert not is_plain(value)
    assert not is_plain([{"a": (value,)}])
    assert plain_values({"odd": value, "size": 1}) == {"size": 1}


def test_a_checkpoint_of_objects_says_what_to_pass(tmp_path: Path) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(make_task(), make_line())
    trainer.save_checkpoint(path := tmp_path / "task.ckpt")
    with pytest.raises(TypeError, match=r"\.load_from_checkpoint\(path, network=\.\.\., loss=\.\.\.\)") as one:
        MinimalTask.load_from_checkpoint(path)
    assert "\n" not in str(one.value)
    with pytest.raises(TypeError, match=r"load_from_checkpoint\(path, loss=\.\.\., network=\.\.\.\)$"):
        MinimalTask.load_from_checkpoint(path, network=MLP(1, [4], 1))
    with pytest.raises(TypeError, match="cannot be called on an instance"):
        make_task().load_from_checkpoint(path)


def test_a_task_for_inference_needs_no_optimizer(tmp_path: Path) -> None:
    task = MinimalTask(MLP(1, [4], 1), nn.MSELoss())
    trainer = make_trainer(max_epochs=1, default_root_dir=tmp_path)
    assert trainer.validate(task, make_line(), verbose=False)[0]["val/loss"] > 0
    with pytest.raises(ValueError, match=r"^training needs an `optimizer`, and the task has none: give") as one:
        make_trainer(max_epochs=1, default_root_dir=tmp_path).fit(task, make_line())
    assert "\n" not in str(one.value)
    assert list(tmp_path.iterdir()) == []

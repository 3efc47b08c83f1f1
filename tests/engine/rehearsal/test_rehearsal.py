"""A rehearsal refuses what would fail, changes nothing, and is silent wherever it cannot be sure."""

import functools
import gc
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchmetrics import MeanAbsoluteError, MetricCollection

from conftest import Command
from lightning_template.datamodules import InMemoryDataModule
from lightning_template.engine.rehearsal import Rehearsal, callback
from lightning_template.tasks import ClassificationTask, RegressionTask, SupervisedTask
from lightning_template.transforms import RandomErasing

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning, about runs as short as these
SGD = functools.partial(torch.optim.SGD, lr=0.01)
RANDOM, NUMPY = random.Random(5), np.random.default_rng(5)


@pytest.fixture(autouse=True)
def generators_are_found() -> Iterator[None]:
    """Let the garbage collector know of the two above, which were there before the tests."""
    gc.unfreeze()
    yield
    gc.freeze()


class ReachedError(Exception):
    """The run went on after the rehearsal."""


class Stop(Callback):
    """Ends a run where its directory would be created."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise ReachedError

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise ReachedError

    on_validation_start = on_test_start


Stop.__module__ = "lightning_template.callbacks"  # it prepares nothing


class Images(InMemoryDataModule):
    """Images in four classes, sorted by class."""

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(80, 1, 6, 6, generator=generator)
        return (inputs, torch.arange(80) // 20), (inputs, torch.arange(80) // 20)


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Samples that depend on every random number there is, and on how often they were asked for."""

    def __init__(self) -> None:
        self.own = np.random.default_rng(1)
        self.torch = torch.Generator().manual_seed(1)
        self.log: list[int] = []

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.log.append(index)
        draws = [random.random(), RANDOM.random(), NUMPY.random(), np.random.rand(), self.own.random(), len(self.log)]
        inputs = torch.tensor(draws).float() + torch.rand(6) + torch.rand(6, generator=self.torch)
        return inputs, torch.tensor(index % 4)


class Foreign(LightningDataModule):
    """Somebody's loader of somebody's data set."""

    def __init__(self, dataset: Any = None, **options: Any) -> None:
        super().__init__()
        self.dataset = Noisy() if dataset is None else dataset
        self.options = {"batch_size": 8} | options

    def train_dataloader(self) -> Any:
        return DataLoader(self.dataset, **self.options)


class Odd(nn.Module):
    """Counts its calls, and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 4))
        self.layers(torch.zeros(2, 6))
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        outputs: Tensor = self.layers(inputs) * (1 + self.calls)
        return outputs


def classifier(num_classes: int = 4, network: nn.Module | None = None, **options: Any) -> ClassificationTask:
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(36, num_classes))
    return ClassificationTask(
        network, num_classes=num_classes, **{"loss": nn.CrossEntropyLoss(), "optimizer": SGD, **options}
    )


def trainer(*callbacks: Callback, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "max_epochs": 1}
    return Trainer(callbacks=list(callbacks), **quiet | options)


def goes_on(task: LightningModule, data: LightningDataModule, *callbacks: Callback, **options: Any) -> bool:
    """Tell whether a run gets past its rehearsal."""
    torch.use_deterministic_algorithms(False)
    with pytest.raises(ReachedError):
        trainer(Rehearsal(), *callbacks, Stop(), **options).fit(task, data)
    return True


WRONG: dict[str, tuple[Callable[[], LightningModule], Callable[[], LightningDataModule], str]] = {
    "inputs": (
        lambda: classifier(network=nn.Sequential(nn.Flatten(), nn.Linear(5, 4))),
        Images,
        r"`model.network` does not take inputs torch.float32 of shape \(64, 1, 6, 6\): ",
    ),
    "channels": (
        lambda: classifier(network=nn.Conv2d(3, 4, 3)),
        Images,
        "`model.network` does not take inputs .* to have 3 channels, but got 1 channels",
    ),
    "outputs": (lambda: classifier(3, nn.Sequential(nn.Flatten(), nn.Linear(36, 4))), Images, "`num_classes` 3"),
    "classes": (lambda: classifier(3), Images, "targets must be classes from 0 to 2, got 0 to 3"),
    "classes of another's data": (
        lambda: classifier(3, nn.Linear(6, 3)),
        Foreign,
        "targets must be classes from 0 to 2, got 0 to 3",
    ),
    "loss": (lambda: classifier(loss=nn.L1Loss()), Images, "`model.loss` does not take outputs .* and targets .*: "),
    "loss of each sample": (
        lambda: classifier(loss=nn.CrossEntropyLoss(reduction="none")),
        Images,
        r"`model.loss` must return one number for a batch, got torch.float32 of shape \(64,\)",
    ),
    "one sample": (
        lambda: classifier(network=nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4))),
        lambda: Images(batch_size=1),
        "Expected more than 1 value",
    ),
    "metrics": (
        lambda: Measured(nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), nn.NLLLoss(), SGD),
        Images,
        "same shape|size",
    ),
    "learning rate": (
        lambda: classifier(optimizer=lambda weights: torch.optim.SGD(weights, lr=float("inf"))),
        Images,
        "`model.optimizer` gives a learning rate of inf: it must be finite and at least 0",
    ),
    "momentum": (
        lambda: classifier(optimizer=lambda weights: torch.optim.SGD(weights, momentum=float("nan"))),
        Images,
        "`model.optimizer.momentum` must be a number, got nan",
    ),
    "learning rate of another's module": (
        lambda: Boring(torch.inf),
        lambda: Foreign([torch.zeros(32)] * 8),
        "`model.optimizer` gives a learning rate of inf",
    ),
    "schedule": (
        lambda: classifier(lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 0)),
        Images,
        "`model.lr_scheduler` fails in its first step: integer modulo by zero",
    ),
    "rate of a schedule": (
        lambda: classifier(lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, -1)),
        Images,
        "`model.lr_scheduler` gives a learning rate of -0.01: it must be finite and at least 0",
    ),
}


class Measured(SupervisedTask):
    """Measures what cannot be measured."""

    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError()})


class Boring(BoringModel):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


@pytest.mark.parametrize("mistake", WRONG)
def test_what_would_fail_is_refused(mistake: str) -> None:
    make_task, make_data, message = WRONG[mistake]
    with pytest.raises(ValueError, match=message):
        trainer(Rehearsal(), Stop()).fit(make_task(), make_data())


def test_evaluations_are_rehearsed_too() -> None:
    task = classifier(network=nn.Sequential(nn.Flatten(), nn.Linear(5, 4)))
    for evaluate in ("test", "validate"):
        with pytest.raises(ValueError, match=r"`model.network` does not take inputs"):
            getattr(trainer(Rehearsal(), Stop()), evaluate)(task, Images())
        with pytest.raises(ReachedError):
            getattr(trainer(Rehearsal(), Stop()), evaluate)(classifier(), Images())


def test_a_validation_set_of_another_kind_is_refused() -> None:
    class Other(Images):
        def load(self) -> Any:
            train, test = super().load()
            return train, test, (torch.zeros(20, 1, 5, 5), torch.arange(20) % 4)

    with pytest.raises(ValueError, match=r"does not take inputs torch.float32 of shape \(20, 1, 5, 5\)"):
        trainer(Rehearsal(), Stop()).fit(classifier(), Other())


def test_the_rehearsed_batch_has_the_first_and_the_last_class() -> None:
    class Rare(Images):
        def load(self) -> Any:
            inputs, targets = torch.zeros(2000, 1, 6, 6), torch.ones(2000).long()
            targets[1234], targets[777] = 0, 3
            return (inputs, targets), (inputs, targets)

    with pytest.raises(ValueError, match="targets must be classes from 0 to 2, got 0 to 3"):
        trainer(Rehearsal(), Stop()).fit(classifier(3), Rare(val_fraction=0.0))


def run(data: LightningDataModule, rehearses: bool, workers: int = 0) -> tuple[dict[str, Any], list[Any]]:
    """Train, and return what is left: weights, buffers, optimizer, metrics and random numbers."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    RANDOM.seed(5)
    NUMPY.bit_generator.state = np.random.default_rng(5).bit_generator.state
    network = Odd() if isinstance(data, Foreign) else nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(36, 4))
    task = classifier(network=network, optimizer=torch.optim.Adam)
    made = trainer(*([Rehearsal()] if rehearses else []), max_epochs=2)
    made.fit(task, data)
    rest: list[Any] = [made.callback_metrics, made.optimizers[0].state_dict(), getattr(network, "calls", 0)]
    rest += [torch.get_rng_state(), random.random(), np.random.rand(), RANDOM.random(), NUMPY.random()]
    rest += [data.dataset.log, data.dataset.own.random()] if isinstance(data, Foreign) else []
    return task.state_dict(), rest


@pytest.mark.parametrize("make_data", [Foreign, lambda: Images(augmentations=[RandomErasing(1.0)], batch_size=16)])
def test_a_rehearsal_changes_nothing(make_data: Callable[[], LightningDataModule]) -> None:
    (weights, rest), (rehearsed_weights, rehearsed_rest) = run(make_data(), False), run(make_data(), True)
    torch.testing.assert_close(rehearsed_weights, weights, rtol=0, atol=0)
    torch.testing.assert_close(rehearsed_rest, rest, rtol=0, atol=0)


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.passes += 1
        yield from [(torch.zeros(5), torch.tensor(0))] * 8


class Whole(nn.Linear):
    """Knows the size of a batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.reshape(64, 36))


class Prepared(ClassificationTask):
    """Makes something ready in a hook after the directory is there."""

    def on_train_start(self) -> None:
        self.weight = 1.0

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not hasattr(self, "weight"):
            raise ValueError("not ready")
        return super().compute_loss(outputs, targets)


class LogsPictures(ClassificationTask):
    """Needs the logger, which the directory brings along."""

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.logger.experiment.add_scalar("x", 1)  # type: ignore[union-attr]
        return super().compute_loss(outputs, targets)


class OtherSteps(ClassificationTask):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.network(batch[0].flatten(1)[:, :5]).sum()  # type: ignore[no-any-return]

    validation_step = training_step


class Prepares(Callback):
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Would change the network."""


class OtherBatches(Images):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0].flatten(1)[:, :5], batch[1]


class Unpicky(Dataset[Any]):
    """Serves workers alone."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        raise RuntimeError("I am ready only in a worker")


def narrow(kind: type[ClassificationTask] = ClassificationTask) -> ClassificationTask:
    """Return a task that takes 5 features, which no data here have."""
    return kind(nn.Linear(5, 4), nn.CrossEntropyLoss(), num_classes=4, optimizer=SGD)


def hooked() -> ClassificationTask:
    task = narrow()
    task.network.register_forward_pre_hook(lambda module, inputs: (inputs[0].flatten(1)[:, :5],))
    return task


UNSURE: dict[str, Callable[[], bool]] = {
    "a network for batches of one size": lambda: goes_on(classifier(network=Whole(36, 4)), Images(val_fraction=0.0)),
    "a task with a hook": lambda: goes_on(narrow(Prepared), Images()),
    "a task that needs its logger": lambda: goes_on(
        LogsPictures(nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), nn.NLLLoss(), num_classes=4, optimizer=SGD),
        Images(),
    ),
    "other steps": lambda: goes_on(narrow(OtherSteps), Images()),
    "a callback of somebody's": lambda: goes_on(narrow(), Images(), Prepares()),
    "a hook of the data": lambda: goes_on(narrow(), OtherBatches()),
    "a hook of the network": lambda: goes_on(hooked(), Images()),
    "a stream": lambda: goes_on(narrow(), Foreign(Stream())),
    "a data set for workers": lambda: goes_on(narrow(), Foreign(Unpicky())),
    "a sampler of somebody's": lambda: goes_on(narrow(), Foreign(sampler=[0] * 8)),
    "another's module": lambda: goes_on(Boring(0.1), Foreign([torch.zeros(7)] * 8)),
    "a monitor of a stream": lambda: goes_on(
        classifier(network=nn.Linear(5, 4)), Foreign(Stream()), EarlyStopping("nonsense")
    ),
    "a monitor of another's module": lambda: goes_on(
        Boring(0.1), Foreign([torch.zeros(32)] * 8), EarlyStopping("nonsense")
    ),
    "a monitor that somebody may log": lambda: goes_on(classifier(), Images(), EarlyStopping("mine"), Somebody()),
    "a rate as monitor": lambda: goes_on(
        classifier(), Images(), LearningRateMonitor(), EarlyStopping("lr-SGD"), logger=True
    ),
    "a lenient monitor": lambda: goes_on(classifier(), Images(), EarlyStopping("nonsense", strict=False)),
    "a monitor that is logged": lambda: goes_on(classifier(), Images(), EarlyStopping("val/accuracy")),
}


class Somebody(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("mine", 1.0)


@pytest.mark.parametrize("case", UNSURE)
def test_where_nothing_is_certain_a_run_goes_on(case: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert UNSURE[case]()


HOOKS = ["on_fit_start", "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"]
HOOKS += ["on_sanity_check_start", "on_sanity_check_end"]
for stage in ("train", "validation", "test"):
    HOOKS += [f"on_{stage}_start", f"on_{stage}_epoch_start", f"on_{stage}_batch_start"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_may_prepare_what_a_step_needs(hook: str) -> None:
    def is_prepared_later(of: type | None) -> bool:
        kinds: tuple[Any, ...] = (ClassificationTask, LightningModule, LightningDataModule, Callback)
        hooks = {hook: lambda self, *args: None}
        task, module, data, callback = (type("Part", (kind,), hooks if kind is of else {}) for kind in kinds)
        found = False
        for trained in (narrow(task), module()):
            given: Any = SimpleNamespace(lightning_module=trained, datamodule=data(), callbacks=[callback()])
            found |= Rehearsal()._is_prepared_later(given)
        return found

    assert not is_prepared_later(None)
    for kind in (ClassificationTask, LightningModule, LightningDataModule, Callback):
        assert is_prepared_later(kind) == hasattr(kind, hook)


@pytest.mark.parametrize("step", ["training_step", "validation_step", "test_step"])
def test_a_task_with_a_step_of_its_own_is_not_rehearsed(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "rehearse", lambda *_: {"rehearsed"})
    task = narrow(type("Own", (ClassificationTask,), {step: lambda self, batch, batch_idx: None}))
    given: Any = SimpleNamespace(lightning_module=task, strategy=SingleDeviceStrategy())
    assert Rehearsal()._try(given, "train", []) == set()
    given.lightning_module = narrow()
    assert Rehearsal()._try(given, "train", []) == {"rehearsed"}


def test_a_stream_is_not_read() -> None:
    stream = Stream()
    assert goes_on(narrow(), Foreign(stream, num_workers=0))
    assert stream.passes <= 1  # Lightning's own look


def test_training_is_rehearsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = []

    def look(_trainer: Trainer, _task: SupervisedTask, stage: str, _sampler: Any) -> set[str]:
        stages.append(stage)
        return set()

    monkeypatch.setattr(callback, "rehearse", look)
    trainer(Rehearsal(), max_epochs=3).fit(classifier(), Images())
    assert stages == ["train", "val"]  # not in the validation of each epoch


def test_a_resumed_run_is_not_rehearsed(tmp_path: Any) -> None:
    first = trainer()
    first.fit(classifier(), Images())
    first.save_checkpoint(tmp_path / "x.ckpt")
    task = classifier(network=nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), loss=nn.L1Loss())
    with pytest.raises(ReachedError):
        trainer(Rehearsal(), Stop()).fit(task, Images(), ckpt_path=tmp_path / "x.ckpt", weights_only=False)


MONITORS: dict[str, tuple[Callable[[], Callback], float, str]] = {
    "early stopping": (lambda: EarlyStopping("val_loss"), 0.2, "`monitor` of EarlyStopping .*, got val_loss"),
    "checkpoints": (lambda: ModelCheckpoint(monitor="x"), 0.2, "`monitor` of ModelCheckpoint .* got x"),
    "early stopping without validation": (lambda: EarlyStopping("val/loss"), 0.0, r"\(train/accuracy, .*got val/loss"),
}


@pytest.mark.parametrize("case", MONITORS)
def test_a_monitor_that_nobody_logs_is_refused(case: str) -> None:
    make, val_fraction, message = MONITORS[case]
    with pytest.raises(ValueError, match=message):
        trainer(Rehearsal(), make(), Stop(), enable_checkpointing=True).fit(
            classifier(), Images(val_fraction=val_fraction)
        )


def test_a_plateau_schedule_without_its_quantity_is_refused() -> None:
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau
    task = RegressionTask(nn.Flatten(), nn.MSELoss(), SGD, lr_scheduler=schedule)
    task.monitor = "val/los"  # type: ignore[misc]

    class Squares(Images):
        def load(self) -> Any:
            inputs = torch.rand(20, 6)
            return (inputs, inputs), (inputs, inputs)

    task.network = nn.Linear(6, 6)
    task.network.requires_grad_(True)
    with pytest.raises(ValueError, match=r"`monitor` of ReduceLROnPlateau .* got val/los"):
        trainer(Rehearsal(), Stop()).fit(task, Squares())


def test_a_fit_without_an_optimizer_leaves_nothing(command: Command) -> None:
    task = ["--model=lightning_template.tasks.RegressionTask", "--model.loss=torch.nn.MSELoss"]
    task += ["--model.network=torch.nn.Linear", "--model.network.in_features=1", "--model.network.out_features=1"]
    result = command("fit", *task, "--data=lightning_template.datamodules.LineDataModule", "--trainer.accelerator=cpu")
    assert (result.status, result.err.count("\n")) == (2, 1), result.err
    assert "training needs an `optimizer`, and the task has none" in result.err
    assert list(Path().iterdir()) == []

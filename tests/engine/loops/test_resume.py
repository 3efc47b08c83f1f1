"""A run that was stopped and resumed ends as one that was never stopped, to the bit."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from test_execution import QUICK, SINGLE, Made, fit
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset
from torchmetrics import CatMetric, MeanMetric

from killing import KilledError, killed_at
from lightning_template.callbacks import BestAndLast
from lightning_template.engine.batches import BatchOrder
from lightning_template.engine.loops import metric_state, resumable
from lightning_template.engine.loops import random_state as states
from lightning_template.engine.loops.boundary import Boundary
from lightning_template.engine.loops.workers import is_worker_death
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import stop_signals
from lightning_template.transforms import Augmentation


class Noise(Augmentation):
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images + 0.1 * torch.rand(images.shape, generator=generator)


class Points(Dataset[tuple[Tensor, Tensor]]):
    """Draws random numbers of all kinds for each sample."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.tensor([index / 60 + random.random() + float(np.random.rand()) + float(torch.rand(()))])
        return x, 3 * x + 2


class PlainData(LightningDataModule):
    """What people write: a shuffled DataLoader."""

    def __init__(self, num_workers: int = 0, **_: Any) -> None:
        super().__init__()
        self.num_workers = num_workers

    def train_dataloader(self) -> Any:
        return DataLoader(Points(), batch_size=5, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self) -> Any:
        return DataLoader(Points(), batch_size=30)


LEFT_OUT = {
    "accumulate_grad_batches and max_steps": "too short",
    "max_steps": "ends within an epoch",
    "early stopping": "stops at once",
    "fast_dev_run": "has no checkpoints",
    "a training step of its own": "Lightning keeps the mean over an epoch of what is logged step by step",
    "plateau by step": "the same",
    "plateau by step of what a step alone logs": "the same",
}
CASES: dict[str, Callable[[], Made]] = {
    **{name: make for name, make in QUICK.items() if name not in LEFT_OUT},
    **{name: make for name, (_, make) in SINGLE.items() if name != "a callback that stops"},
    "augmentation": lambda: {"data_options": {"augmentations": [Noise()]}},
    "augmentation, two workers": lambda: {"data_options": {"augmentations": [Noise()], "num_workers": 2}},
    "a plateau within an epoch": lambda: {
        "options": {
            "lr_scheduler": partial(ReduceLROnPlateau, patience=0, factor=0.5),
            "lr_scheduler_interval": "step",
        },
        "val_check_interval": 1,
    },
    "validation of every other epoch": lambda: {"check_val_every_n_epoch": 2},
    "a plain DataLoader": lambda: {"data": PlainData},
    "a plain DataLoader, two workers": lambda: {"data": PlainData, "data_options": {"num_workers": 2}},
}


FAST = {
    "backbone finetuning, lambda",
    "groups",
    "warm-up and plateau",
    "as it is",
    "accumulate_grad_batches",
    "bf16-mixed",
    "64-true",
    "one cycle by step",
    "plateau",
    "moving average",
    "augmentation, two workers",
    "a plain DataLoader",
}


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)


def with_checkpoints(made: Made, folder: Path) -> Made:
    silent = {"enable_checkpointing": True, "default_root_dir": folder}
    return made | silent | {"callbacks": [*made.get("callbacks", ()), BestAndLast(every_n_steps=2)]}


def stop_and_resume(
    make: Callable[[], Made], steps: int, kill_at: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return what a run left that was never stopped, what one left that was resumed, and the checkpoint between."""
    seed(0)
    whole = fit(with_checkpoints(make(), folder / "whole"), steps, monkeypatch)
    hook = killed_at(max(2, int(kill_at * whole["trainer"].global_step)))
    seed(0)
    try:
        with pytest.raises(KilledError):
            fit(with_checkpoints(make(), folder / "stopped"), steps, monkeypatch)
    finally:
        hook.remove()
        monkeypatch.undo()
    last = folder / "stopped" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    seed(17)
    resumed = fit(with_checkpoints(make(), folder / "resumed"), steps, monkeypatch, ckpt_path=last, weights_only=True)
    return whole, resumed, checkpoint


def assert_equal_ends(whole: dict[str, Any], resumed: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    assert_equal = partial(torch.testing.assert_close, rtol=0.0, atol=0.0, equal_nan=True)
    step = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    assert 0 < checkpoint["global_step"] < whole["trainer"].global_step
    for key in ("weights", "optimizer", "schedule", "metrics", "random state"):
        assert_equal(resumed[key], whole[key], msg=f"{key}: {{}}".format)
    later = [line for line in whole["log"] if line[0] is None or line[0] >= step]
    assert_equal(resumed["log"], later)
    number = len(resumed["validations"])
    assert_equal(resumed["validations"], whole["validations"][len(whole["validations"]) - number :])
    for one, other in zip(resumed["callbacks"], whole["callbacks"], strict=True):
        assert {name: value for name, value in one.items() if isinstance(value, int | float)} == {
            name: value for name, value in other.items() if isinstance(value, int | float)
        }
    for loop in ("batch_progress", "scheduler_progress", "automatic_optimization.optim_progress"):
        assert resumed["progress"][f"epoch_loop.{loop}"] == whole["progress"][f"epoch_loop.{loop}"]
    assert resumed["progress"]["epoch_progress"] == whole["progress"]["epoch_progress"]


@pytest.mark.parametrize(
    ("name", "kill_at"),
    [
        pytest.param(name, kill_at, marks=[] if is_fast else [pytest.mark.slow])
        for place, name in enumerate(CASES)
        for kill_at, is_fast in ((0.4, name in FAST and place % 2), (0.64, name in FAST and not place % 2))
    ],
)
def test_a_resumed_run_ends_as_one_that_was_never_stopped(
    name: str, kill_at: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_equal_ends(*stop_and_resume(CASES[name], 4, kill_at, tmp_path, monkeypatch))


class Watcher(Boundary):
    """Keeps the metrics that callbacks see, and writes a checkpoint after a number of steps."""

    def __init__(self, path: Path, save_after: int | None = None) -> None:
        self.path, self.save_after = path, save_after
        self.every_n_steps = save_after
        self.saved: dict[str, Tensor] = {}
        self.at_first_step: dict[str, Tensor] = {}

    def on_boundary(self, trainer: Trainer, pl_module: LightningModule, epoch_ended: bool, stops: bool) -> None:
        if trainer.global_step == self.save_after and not epoch_ended:
            self.saved = {name: value.clone() for name, value in trainer.callback_metrics.items()}
            trainer.save_checkpoint(self.path)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.at_first_step = dict(trainer.callback_metrics)


def test_callbacks_see_the_metrics_from_before_the_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "17.ckpt"
    first, second = Watcher(path, save_after=17), Watcher(path)
    fit({"callbacks": [first], "enable_checkpointing": False, "max_steps": 18}, 4, monkeypatch)
    assert {"val/loss", "train/loss"} <= first.saved.keys()
    fit({"callbacks": [second]}, 4, monkeypatch, ckpt_path=path, weights_only=True)
    assert second.at_first_step == first.saved
    third = Watcher(path)
    fit({"callbacks": [third]}, 4, monkeypatch)
    assert third.at_first_step == {}


def forget_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "set_random_state", lambda *_: None)


def forget_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchOrder, "start_at", lambda *_: None)


def forget_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "load_metrics", lambda *_: None)


def leave_it_to_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable.EpochLoop, "on_load_checkpoint", _TrainingEpochLoop.on_load_checkpoint)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize("forget", [forget_random_state, forget_place, forget_metrics, leave_it_to_lightning])
def test_whatever_is_forgotten_is_missed(
    forget: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as lasting:
        forget(lasting)
        ends = stop_and_resume(dict, 4, 0.64, tmp_path, monkeypatch)
    with pytest.raises(AssertionError):
        assert_equal_ends(*ends)


@pytest.fixture
def own_random_state() -> Iterator[None]:
    state = states.random_state(torch.device("cpu"))
    yield
    states.set_random_state(state, torch.device("cpu"))


@pytest.mark.usefixtures("own_random_state")
def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), random.gauss(), np.random.rand(), np.random.randn(), torch.rand(()).item()]

    random.gauss()  # leaves one for the next call, as randn does
    np.random.randn()
    torch.save(states.random_state(torch.device("cpu")), tmp_path / "state.pt")
    expected = draw()
    states.set_random_state(torch.load(tmp_path / "state.pt", weights_only=True), torch.device("cpu"))
    assert draw() == expected


class FakeDevice:
    """Random numbers of a device that is no CPU."""

    state = torch.tensor([1, 2, 3], dtype=torch.uint8)

    def get_rng_state(self) -> Tensor:
        return self.state.clone()

    def set_rng_state(self, state: Tensor) -> None:
        self.state = state


@pytest.mark.usefixtures("own_random_state")
def test_random_numbers_of_a_device_go_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, device = FakeDevice(), torch.device("cuda")
    monkeypatch.setattr(torch, "get_device_module", lambda of: fake if of == device else torch.cpu)
    kept = states.random_state(device)
    assert "device" not in states.random_state(torch.device("cpu"))
    fake.state = torch.zeros(3, dtype=torch.uint8)
    states.set_random_state(kept, torch.device("cpu"))  # a run may go on elsewhere
    assert fake.state.tolist() == [0, 0, 0]
    states.set_random_state(kept, device)
    assert fake.state.tolist() == [1, 2, 3]


def test_metrics_that_were_kept_do_not_change_with_the_metrics() -> None:
    mean, values = MeanMetric(), CatMetric()
    module = torch.nn.ModuleList([mean, values])
    mean.update(3.0)
    values.update(3.0)
    kept = metric_state.dump_metrics(module)
    mean.mean_value.add_(7.0)
    values.value[0].add_(7.0)
    metric_state.load_metrics(module, kept)
    assert mean.compute().item() == 3.0
    assert values.compute().item() == 3.0


class TwoRanks:
    """A trainer of the first of two ranks, of which the other got SIGTERM."""

    world_size, global_rank, is_global_zero, global_step = 2, 0, True, 7
    callbacks: ClassVar[list[Any]] = []
    callback_metrics: ClassVar[dict[str, Tensor]] = {"val/loss": torch.tensor(0.5)}
    lightning_module = torch.nn.Module()

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

        @staticmethod
        def reduce(number: Tensor, reduce_op: str = "mean") -> Tensor:
            both = torch.stack([number, torch.tensor(15.0)])
            return both.amax() if reduce_op == "max" else both.mean()


@pytest.fixture
def loop_of_two_ranks(monkeypatch: pytest.MonkeyPatch) -> resumable.EpochLoop:
    loop = resumable.EpochLoop.__new__(resumable.EpochLoop)
    loop.trainer = TwoRanks()
    monkeypatch.setattr(_TrainingEpochLoop, "on_save_checkpoint", lambda _: {"own": 1})
    return loop


def test_a_signal_to_one_rank_stops_all(loop_of_two_ranks: resumable.EpochLoop) -> None:
    with pytest.raises(Stopped) as stopped:
        loop_of_two_ranks.reach_boundary(epoch_ended=False)
    assert (stopped.value.number, stopped.value.step, stopped.value.code) == (15, 7, 128 + 15)


def loop_of_one_process(monkeypatch: pytest.MonkeyPatch, ready: int = 3, accumulates: bool = False) -> Any:
    """Return a loop after three steps, the first part of a batch of which a worker handed over, or none."""
    loop: Any = resumable.EpochLoop.__new__(resumable.EpochLoop)
    loop.trainer = TwoRanks()
    monkeypatch.setattr(TwoRanks, "world_size", 1)
    loop.batch_progress = SimpleNamespace(current=SimpleNamespace(ready=ready, completed=3))
    monkeypatch.setattr(resumable.EpochLoop, "_should_accumulate", lambda _: accumulates)
    monkeypatch.setattr(resumable, "GRACE", 0.0)
    return loop


WORKER_DIED = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")


def test_a_signal_that_ended_the_workers_stops_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_of_one_process(monkeypatch)
    monkeypatch.setattr(stop_signals, "received", 15)
    for error in (WORKER_DIED, ConnectionResetError()):
        with pytest.raises(Stopped) as stopped:
            loop.stop_without_data(error)
        assert (stopped.value.number, stopped.value.step) == (15, 7)
    loop.stop_without_data(RuntimeError("of the network"))


@pytest.mark.parametrize("within", [{"ready": 4}, {"accumulates": True}])
def test_within_a_step_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch, within: dict[str, Any]) -> None:
    loop = loop_of_one_process(monkeypatch, **within)
    monkeypatch.setattr(stop_signals, "received", 15)
    loop.stop_without_data(WORKER_DIED)


def test_a_worker_that_dies_by_itself_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_of_one_process(monkeypatch)
    with pytest.raises(RuntimeError, match="a worker of a DataLoader was killed, perhaps because memory ran out"):
        loop.stop_without_data(ConnectionResetError())
    loop.stop_without_data(WORKER_DIED)  # which says it all


def test_a_checkpoint_holds_what_each_rank_has(
    loop_of_two_ranks: resumable.EpochLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(ranks: list[Any], rank: dict[str, Any]) -> None:
        assert ranks == [None, None]
        ranks[:] = [rank, "of the other"]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    loop_of_two_ranks._at_boundary = False
    state = loop_of_two_ranks.on_save_checkpoint()
    first, second = state["ranks"]
    assert (state["own"], state["between_epochs"], second) == (1, False, "of the other")
    assert torch.equal(first["random_state"]["torch"], torch.get_rng_state())
    assert state["callback_metrics"] == {"val/loss": torch.tensor(0.5)}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated."), True),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), True),
        (ConnectionResetError(), True),
        (EOFError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DataLoader worker (pid 7)"), False),
        (KeyError("x"), False),
    ],
)
def test_deaths_of_workers_are_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_worker_death(error) is expected

"""Where a resumed run goes on in its data and metrics, and how it deals with signals and workers; part by part."""

import multiprocessing
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import nn
from torchmetrics import CatMetric, MeanMetric

from lightning_template.engine.loops import metric_state, resumable, workers
from lightning_template.engine.loops.boundary import Boundary
from lightning_template.engine.loops.resumable import EpochLoop
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import stop_signals


class Fetcher:
    """Counts what is fetched."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __iter__(self) -> "Fetcher":
        self.calls.append("iter")
        return self

    def __next__(self) -> int:
        self.calls.append("next")
        return 0


def loop_of(**fields: Any) -> Any:
    loop: Any = EpochLoop.__new__(EpochLoop)
    loop.trainer = SimpleNamespace(**fields)
    return loop


def order(calls: list[str]) -> Any:
    return SimpleNamespace(start_at=lambda position: calls.append(f"start at {position}"))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda one: [SimpleNamespace(batch_sampler=one, sampler=None)], ["start at 3", "iter"]),
        (lambda one: [SimpleNamespace(batch_sampler=object(), sampler=one)], ["start at 3", "iter"]),
        (lambda one: [SimpleNamespace(sampler=object())], ["iter", "next", "next", "next"]),
        (lambda one: [SimpleNamespace()], ["iter", "next", "next", "next"]),
        (lambda one: [SimpleNamespace(sampler=one)] * 2, ["iter", "next", "next", "next"]),
    ],
)
def test_a_loader_goes_on_at_once_if_it_can(make: Any, expected: list[str]) -> None:
    fetcher: Any = Fetcher()
    fetcher.combined_loader = SimpleNamespace(flattened=make(order(fetcher.calls)))
    loop_of()._skip_batches(3, fetcher)
    assert fetcher.calls == expected


@pytest.mark.parametrize(("ranks", "fits"), [(None, True), ([1, 2], True), ([1], False)])
def test_a_checkpoint_is_of_as_many_ranks(ranks: Any, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(_TrainingEpochLoop, "on_load_checkpoint", lambda _, state: loaded.append(state))
    loop = loop_of(world_size=2)
    state: Any = {"between_epochs": True} if ranks is None else {"ranks": ranks, "between_epochs": True}
    if fits:
        loop.on_load_checkpoint(state)
        assert loop.resumes == loop.resumes_between_epochs == (ranks is not None)
    else:
        said = "^the checkpoint is of 1 processes, and this run has 2: give as many `trainer.devices`$"
        with pytest.raises(ValueError, match=said):
            loop.on_load_checkpoint(state)
    assert loaded == [state]


def test_a_run_that_goes_on_within_an_epoch_is_not_between_two() -> None:
    loop = loop_of()
    loop._resumed = {"between_epochs": False}
    assert loop.resumes
    assert not loop.resumes_between_epochs


class At(Boundary):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_boundary(self, trainer: Any, pl_module: Any, epoch_ended: bool, stops: bool) -> None:
        self.seen.append((trainer.fit_loop._at_boundary, pl_module, epoch_ended, stops))


@pytest.mark.parametrize("epoch_ended", [True, False])
@pytest.mark.parametrize("received", [None, 15])
def test_callbacks_act_at_a_boundary(epoch_ended: bool, received: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "received", received)
    callback = At()
    loop = loop_of(callbacks=[object(), callback], lightning_module="m", world_size=1, global_step=7)
    loop.trainer.is_global_zero, loop.trainer.fit_loop = True, loop
    if received:
        with pytest.raises(Stopped) as stopped:
            loop.reach_boundary(epoch_ended)
        assert (stopped.value.number, stopped.value.step) == (15, 7)
    else:
        loop.reach_boundary(epoch_ended)
    assert callback.seen == [(epoch_ended, "m", epoch_ended, received is not None)]
    assert loop._at_boundary is None  # a checkpoint of Lightning's own comes within a step


@pytest.mark.parametrize(("received", "ranks", "expected"), [(None, 1, False), (15, 1, True), (15, 2, False)])
def test_one_of_several_ranks_does_not_stop_alone(
    received: int | None, ranks: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_signals, "received", received)
    assert loop_of(world_size=ranks).must_stop == expected


def test_a_checkpoint_within_a_step_is_lightnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_TrainingEpochLoop, "on_save_checkpoint", lambda _: {"own": 1})
    module = nn.ModuleList([MeanMetric()])
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    metrics = {"a": torch.tensor(1.0)}
    loop = loop_of(world_size=1, strategy=strategy, lightning_module=module, callback_metrics=metrics, global_step=7)
    assert (loop.on_save_checkpoint(), loop.saved_step) == ({"own": 1}, None)
    loop._random_state_before = {"before": 1}
    for at_boundary in (True, False):
        loop._at_boundary = at_boundary
        state = loop.on_save_checkpoint()
        assert (state["own"], state["between_epochs"], state["callback_metrics"]) == (1, at_boundary, metrics)
        (rank,) = state["ranks"]
        assert rank["random_state_before"] == {"before": 1}
        assert bool(rank["metrics"]) != at_boundary  # an epoch begins with none
        assert loop.saved_step == 7


@pytest.mark.parametrize(
    ("stopped", "saved", "is_first", "message"),
    [
        (Stopped(15), 7, True, "stopped by SIGTERM after step 7"),
        (Stopped(15), 6, True, "stopped by SIGTERM"),
        (Stopped(15), None, True, "stopped by SIGTERM"),
        (Stopped(15, 7), 7, True, "stopped by SIGTERM after step 7"),
        (Stopped(15, speaks=False), 7, False, ""),
    ],
)
def test_a_stop_names_the_step_if_none_was_made_since(
    stopped: Stopped, saved: int | None, is_first: bool, message: str
) -> None:
    loop = loop_of(global_step=7, is_global_zero=is_first)
    loop.saved_step = saved
    step = stopped.step
    with pytest.raises(Stopped), loop.tells_saved_step():
        raise stopped
    assert (stopped.message, stopped.step) == (message, step)


class Waiting(nn.Module):
    """Has batches that wait for its metrics."""

    waiting = 3

    def dump_waiting(self) -> int:
        return self.waiting

    def load_waiting(self, waiting: int) -> None:
        self.waiting = waiting


def test_metrics_are_kept_with_the_number_of_their_updates() -> None:
    def make() -> Any:
        return nn.ModuleDict({"mean": MeanMetric(), "cat": CatMetric(), "waiting": Waiting(), "layer": nn.Linear(1, 1)})

    one, other = make(), make()
    for value in (1.0, 4.0):
        one["mean"].update(value)
        one["cat"].update(value)
    one["waiting"].waiting = 5
    kept = metric_state.dump_metrics(one)
    assert kept.keys() == {"mean", "cat", "waiting"}
    metric_state.load_metrics(other, kept)
    assert (other["mean"].compute(), other["cat"].compute().tolist(), other["waiting"].waiting) == (2.5, [1, 4], 5)
    assert (other["mean"]._update_count, other["cat"]._update_count) == (2, 2)


DIED = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")


@pytest.mark.parametrize(
    ("error", "received", "stops"),
    [(DIED, 15, True), (EOFError(), 15, True), (DIED, None, False), (ValueError("x"), 15, False)],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_worker_that_a_signal_ended_is_a_stop(
    error: Exception, received: int | None, stops: bool, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_signals, "received", received)
    monkeypatch.setattr(workers, "GRACE", 0.0)
    trainer: Any = SimpleNamespace(is_global_zero=is_first)
    with pytest.raises(BaseException) as raised, workers.stop_on_worker_death(trainer):  # noqa: PT011
        raise error
    if stops:
        assert isinstance(raised.value, Stopped)
        assert (raised.value.number, raised.value.step, raised.value.code) == (15, None, 143 if is_first else 0)
    else:
        assert raised.value is error


@pytest.fixture
def children() -> Any:
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize("received", [None, 15])
def test_the_death_of_a_worker_is_told_unless_a_signal_came(
    received: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_signals, "received", received)
    monkeypatch.setattr(workers, "GRACE", 0.0)
    told: list[int] = []

    def of_torch(number: int, frame: Any) -> None:
        told.append(number)
        raise DIED

    monkeypatch.setattr(workers, "watch_workers", lambda: signal.signal(signal.SIGCHLD, of_torch))
    with workers.ignore_worker_death_on_stop():
        if received:
            signal.raise_signal(signal.SIGCHLD)
        else:
            with pytest.raises(RuntimeError, match="DataLoader worker"):
                signal.raise_signal(signal.SIGCHLD)
    assert told == [signal.SIGCHLD]
    assert signal.getsignal(signal.SIGCHLD) is of_torch
    with workers.ignore_worker_death_on_stop():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # somebody else takes it
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    other = SimpleNamespace(current_thread=lambda: "another", main_thread=lambda: "main")
    monkeypatch.setattr(workers, "threading", other)
    monkeypatch.setattr(workers, "watch_workers", lambda: pytest.fail("no thread but the main one may"))
    with workers.ignore_worker_death_on_stop():
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def raise_in_thread(error: BaseException) -> None:
    """Report an error as the thread does that passes on a worker's batches."""
    try:
        raise error
    except type(error):
        sys.excepthook(*sys.exc_info())


@pytest.mark.usefixtures("children")
@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_worker_prints_no_lost_connection_but_other_errors(capfd: pytest.CaptureFixture[str]) -> None:
    def printed(error: BaseException) -> str:
        child = multiprocessing.get_context("fork").Process(target=raise_in_thread, args=(error,))
        child.start()
        child.join(timeout=30)
        assert child.exitcode == 0
        return capfd.readouterr().err

    with workers.ignore_worker_death_on_stop():
        assert printed(ConnectionResetError("gone")) == printed(BrokenPipeError()) == printed(EOFError()) == ""
        assert printed(KeyError("other")).endswith("KeyError: 'other'\n")
    assert "ConnectionResetError: gone" in printed(ConnectionResetError("gone"))


def test_metrics_of_the_checkpoint_are_seen_until_there_are_new_ones() -> None:
    seen: dict[str, int] = {}
    loop = loop_of(_logger_connector=SimpleNamespace(_callback_metrics=seen))
    loop.restore_callback_metrics()
    assert seen == {}
    loop._resumed = {"callback_metrics": {"val/loss": 1}}
    loop.restore_callback_metrics()
    assert seen == {"val/loss": 1}


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_has_its_own_random_numbers(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(resumable, "set_random_state", lambda *args: given.append(args))
    loop = loop_of(global_rank=rank, strategy=SimpleNamespace(root_device="a device"))
    loop._resumed = {"ranks": [{"random_state": "first"}, {"random_state": "second"}]}
    loop.restore_state()
    assert given == [(("first", "second")[rank], "a device")]


@pytest.mark.parametrize("known", [True, False])
def test_where_the_version_is_unknown_an_epochs_end_is_a_boundary(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_template.engine.loops.boundary.known_version", lambda: known)
    seen = []

    class Recorder(Boundary):
        def on_boundary(self, trainer: Any, pl_module: Any, epoch_ended: bool, stops: bool) -> None:
            seen.append((trainer, pl_module, epoch_ended, stops))

    trainer, module = Any, Any
    Recorder().on_train_epoch_end(trainer, module)  # type: ignore[arg-type]  # only handed on
    assert seen == ([] if known else [(trainer, module, True, False)])

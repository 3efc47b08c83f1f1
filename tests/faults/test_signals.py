"""Signals at any moment: status 128 + number, an interrupted run, and nothing half done."""

import gc
import json
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import Callback
from test_runs_that_stop import FIT, RUN, assert_ends_as_if_never_stopped, inject, nothing_is_half_written

from conftest import ROOT, Command
from lightning_template.engine.process import signals
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import StopSignals, stop_signals

TERM = int(signal.SIGTERM)
LINE = f"--config={ROOT / 'configs/line/adam.yaml'}"
DATA = ["fit", LINE, "--data=injected.SignalInData", "--trainer.max_epochs=2", "--callbacks.figures=null"]
FEW_WORKERS = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval", "ignore:.*use of fork"
)


def state() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RUN / "state.json").read_text())
    return content


@pytest.mark.parametrize("number", [signal.SIGHUP, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_these_stop_as_sigterm_does(number: signal.Signals, command: Command) -> None:
    stopped = command(*FIT, *inject("SignalAt", number=int(number), step=13))
    assert stopped.status == 128 + number
    assert f"lightning-template: stopped by {number.name} after step 14; to go on: " in stopped.err
    assert state()["state"] == "interrupted"
    assert nothing_is_half_written()
    assert_ends_as_if_never_stopped(command, stopped)


@FEW_WORKERS
@pytest.mark.parametrize("phase", ["init", "prepare_data", "setup", "train_dataloader"])
def test_a_signal_before_there_is_a_run_leaves_nothing(phase: str, command: Command) -> None:
    stopped = command(*DATA, f"--data.number={TERM}", f"--data.phase={phase}")
    assert (stopped.status, stopped.out) == (143, "")
    assert stopped.err.splitlines()[-1] == "lightning-template: stopped by SIGTERM"
    assert not Path("lightning_logs").exists()


def test_a_signal_while_modules_are_imported(command: Command, workspace: Path) -> None:
    (workspace / "imported_late.py").write_text("import os\nos.kill(os.getpid(), 15)\nclass Data: pass\n")
    stopped = command("fit", LINE, "--data=imported_late.Data")
    assert (stopped.status, stopped.err) == (143, "lightning-template: stopped by SIGTERM\n")


@FEW_WORKERS
def test_a_signal_before_the_first_step_interrupts_the_run(command: Command) -> None:
    stopped = command(*DATA, f"--data.number={TERM}", "--data.phase=val_dataloader")
    assert stopped.status == 143
    assert state()["state"] == "interrupted"
    assert "Traceback" not in stopped.err
    assert stopped.err.count("stopped by SIGTERM") == 1


@FEW_WORKERS
def test_a_signal_that_something_caught_is_not_lost(command: Command) -> None:
    stopped = command(*DATA, f"--data.number={TERM}", "--data.phase=setup", "--data.swallowed=true")
    assert stopped.status == 143
    assert not Path("lightning_logs").exists()


SLOW_HOOKS = [pytest.param(hook, marks=pytest.mark.slow) for hook in ("on_train_start", "on_train_epoch_end")]
EARLY_HOOKS = ["on_fit_start", "on_sanity_check_start"]


class SignalInHook(Callback):
    """Sends this process SIGTERM in a hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, lambda *_: os.kill(os.getpid(), TERM))


@pytest.mark.parametrize("hook", [*EARLY_HOOKS, *SLOW_HOOKS, "on_train_end", "on_fit_end"])
def test_a_signal_in_any_hook(hook: str, command: Command) -> None:
    args = [*FIT, "--trainer.max_epochs=1", "--trainer.callbacks=test_signals.SignalInHook"]
    stopped = command(*args, f"--trainer.callbacks.hook={hook}")
    assert stopped.status == 143
    assert state()["state"] == "interrupted"
    assert stopped.err.splitlines()[-1].startswith("lightning-template: stopped by SIGTERM")
    if hook not in EARLY_HOOKS:
        assert "; to go on: " in stopped.err
    if hook == "on_train_end":  # the last boundary lies behind, and nothing was done since
        assert "stopped by SIGTERM after step 20; to go on: " in stopped.err


def end_workers() -> None:
    gc.collect()  # the loader's iterator, which the exception knew
    for child in multiprocessing.active_children():  # as at the end of a process
        child.terminate()
        child.join(timeout=10)


@FEW_WORKERS
@pytest.mark.parametrize(
    ("phase", "first", "accumulate"),
    [
        ("worker", "parent", 1),
        ("validation worker", "worker", 1),
        pytest.param("worker", "worker", 1, marks=pytest.mark.slow),  # torch looks for dead workers every 5 seconds
        pytest.param("worker", "parent", 3, marks=pytest.mark.slow),
        pytest.param("worker", "worker", 3, marks=pytest.mark.slow),
        pytest.param("validation worker", "parent", 1, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_a_group_while_workers_start(phase: str, first: str, accumulate: int, command: Command) -> None:
    data = [f"--data.number={TERM}", f"--data.phase={phase}", f"--data.first={first}", "--data.num_workers=1"]
    stopped = command(*DATA, *data, f"--trainer.accumulate_grad_batches={accumulate}")
    end_workers()
    assert stopped.status == 143, stopped.err
    assert state()["state"] == "interrupted"
    assert "Traceback" not in stopped.err
    assert nothing_is_half_written()


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_signal_ends_an_evaluation(stage: str, command: Command) -> None:
    args = [stage, LINE, "--allow_untrained", "--trainer.callbacks=test_signals.SignalInHook"]
    hook = {"validate": "on_validation", "test": "on_test", "predict": "on_predict"}[stage] + "_batch_end"
    stopped = command(*args, f"--trainer.callbacks.hook={hook}", "--data.val_fraction=0.2")
    assert stopped.status == 143
    assert stopped.err.splitlines()[-1] == "lightning-template: stopped by SIGTERM"
    assert not list(Path("lightning_logs").rglob("metrics.json"))


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_what_is_ignored_or_handled_by_others_stays_so() -> None:
    others: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGUSR1, lambda n, _: others.append(n))
    try:
        with StopSignals().listen():
            send(signal.SIGHUP)
            send(signal.SIGUSR1)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert others == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGUSR1, before[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_listened_to_raise_and_held_ones_wait(number: signal.Signals) -> None:
    listener = StopSignals()
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, listener.listen():
        send(number)
    assert (stopped.value.code, stopped.value.number) == (128 + number, number)
    seen = []

    def hold() -> None:
        with listener.listen(), listener.hold():
            send(number)
            seen.append(listener.received)
            send(signal.SIGTERM)  # schedulers send several
            seen.append(listener.received)

    with pytest.raises(Stopped):
        hold()
    assert seen == [number, number]
    assert listener.received is None
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_another_interrupt_is_at_once(first: signal.Signals) -> None:
    def interrupt() -> None:
        with StopSignals().hold():
            send(first)
            send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt()


@pytest.mark.parametrize("holds", [False, True])
def test_what_something_caught_is_raised_later(holds: bool) -> None:
    listener = StopSignals()

    def swallow() -> None:
        with listener.listen():
            with suppress(Stopped):
                send(signal.SIGTERM)
            if holds:
                with listener.hold():
                    raise AssertionError

    with pytest.raises(Stopped, match="143"):
        swallow()


@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, 7)])
def test_a_child_is_ended_by_sigterm_alone(number: signal.Signals, status: int) -> None:
    with stop_signals.listen():
        child = os.fork()
        if child == 0:
            try:
                send(number)
            finally:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


@pytest.mark.parametrize("fails", [False, True])
def test_that_workers_end_matters_again_after_what_ended_well(fails: bool) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    heard: list[int] = []

    def hear(number: int, _: object) -> None:
        heard.append(number)

    listener = StopSignals()
    try:
        with listener.listen():
            signal.signal(signal.SIGCHLD, hear)
            with suppress(KeyError), listener.hold():
                signal.signal(signal.SIGCHLD, hear if fails else signal.SIG_IGN)  # as torch's loader does
                if fails:
                    raise KeyError
            send(signal.SIGCHLD)
        assert heard == ([] if fails else [signal.SIGCHLD])
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_held_no_longer_a_signal_raises_at_once() -> None:
    listener = StopSignals()
    seen = []

    def listen() -> None:
        with listener.listen():
            with listener.hold():
                pass
            send(signal.SIGTERM)
            seen.append("after it")

    with pytest.raises(Stopped):
        listen()
    assert seen == []


def test_another_thread_takes_no_handlers() -> None:
    handlers = []

    def look() -> None:
        listener = StopSignals()
        with listener.listen(), listener.hold():
            handlers.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)])

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [before]


@pytest.mark.parametrize(("comes_after", "waited"), [(0.0, 0), (0.4, 0.4), (1.0, 1.0), (9.0, 1.0)])
def test_a_signal_that_comes_soon_is_waited_for(
    comes_after: float, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, passed = StopSignals(), [5.0]

    def sleep(seconds: float) -> None:
        passed.append(passed[-1] + seconds)
        if passed[-1] - passed[0] >= comes_after:
            watched.received = TERM

    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: passed[-1], sleep=sleep))
    watched.received = None if comes_after else TERM
    assert watched.comes_within(1.0) == (TERM if comes_after <= 1.0 else None)
    assert passed[-1] - passed[0] == pytest.approx(waited, abs=0.02)

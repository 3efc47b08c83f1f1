"""Runs that are stopped, killed or fail: what they leave, what they say, and how they go on."""

import json
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import ROOT, Command, Result
from lightning_template.engine.runs.digests import is_whole

FIT = [
    "fit",
    f"--config={ROOT / 'configs/line/adam.yaml'}",
    "--data.batch_size=4",
    "--data.val_fraction=0.2",
    "--trainer.max_epochs=3",
    "--trainer.log_every_n_steps=1",
    "--trainer.val_check_interval=7",
    "--callbacks.checkpoint.every_n_steps=3",
    "--callbacks.figures=null",
    "--callbacks.dashboard=null",
]
"""Three epochs of 20 steps."""
RUN = Path("lightning_logs/line_adam/version_0")


def load(name: str = "last", run: Path = RUN) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return loaded


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("memory/", "speed/"))]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def assert_ends_as_if_never_stopped(command: Command, result: Result) -> None:
    """Go on as the message says, and compare with a run that was not stopped."""
    go_on = result.err.strip().splitlines()[-1].split("to go on: ")[1].split("lightning-template ")[1]
    is_over = load()["epoch"] == 3
    resumed = command(*shlex.split(go_on))
    assert resumed.status == 0
    assert is_over or re.search(r"epoch (\d+)/\1: 100 %", resumed.out)  # the bar goes on too
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    assert command(*FIT, "--trainer.default_root_dir=whole").status == 0
    whole = "whole" / RUN
    for name in ("last", "best"):
        one, other = load(name), load(name, whole)
        for key in ("state_dict", "optimizer_states", "global_step", "epoch"):
            torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)
    assert curves(RUN) == curves(whole)
    final, expected = (json.loads((run / "metrics.json").read_text()) for run in (RUN, whole))
    assert (final["best"], {**final["final"], "checkpoint": None}) == (
        expected["best"],
        {**expected["final"], "checkpoint": None},
    )


def nothing_is_half_written() -> bool:
    return not list(Path().rglob(".*.ckpt.*")) and all(is_whole(path) for path in Path().rglob("*.ckpt"))


def inject(name: str, **arguments: object) -> list[str]:
    return [
        f"--trainer.callbacks=injected.{name}",
        *(f"--trainer.callbacks.{key}={arguments[key]}" for key in arguments),
    ]


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (signal.SIGTERM, 13),
        pytest.param(signal.SIGINT, 39, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 28, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 59, marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_at_the_next_step(number: signal.Signals, step: int, command: Command) -> None:
    stopped = command(*FIT, *inject("SignalAt", number=int(number), step=step))
    assert stopped.status == 128 + number
    assert f"lightning-template: stopped by {number.name} after step {step + 1}; to go on: " in stopped.err
    assert "Traceback" not in stopped.err
    assert load()["global_step"] == step + 1
    assert nothing_is_half_written()
    assert_ends_as_if_never_stopped(command, stopped)


def test_a_signal_in_a_validation_waits_for_its_end(command: Command) -> None:
    stopped = command(*FIT, *inject("SignalAt", number=int(signal.SIGTERM), step=27, validating=True))
    assert stopped.status == 143
    assert load()["global_step"] == 27
    assert_ends_as_if_never_stopped(command, stopped)


def test_a_second_interrupt_leaves_at_once(command: Command) -> None:
    stopped = command(*FIT, *inject("SignalAt", number=int(signal.SIGINT), step=13, times=2))
    assert stopped.status == 130
    assert "Traceback" not in stopped.err
    assert load()["global_step"] == 12
    assert nothing_is_half_written()


@pytest.mark.parametrize(
    ("num_bytes", "message"),
    [(20_000, "cannot write lightning_logs/line_adam/version_0/checkpoints/"), (1000, "File too large")],
    ids=["checkpoint", "log"],
)
def test_a_full_disk_leaves_the_checkpoint_before(num_bytes: int, message: str, child_command: Command) -> None:
    failed = child_command(*FIT, *inject("FullDisk", step=13, num_bytes=num_bytes))
    assert failed.status == 1
    assert message in failed.err.splitlines()[-1]
    assert load()["global_step"] == 12
    assert nothing_is_half_written()


@pytest.mark.parametrize("every_n_steps", [1, 1000])
def test_a_loss_that_is_not_finite_ends_the_run(every_n_steps: int, command: Command) -> None:
    optimizer = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1e9"]
    failed = command(*FIT, f"--callbacks.checkpoint.every_n_steps={every_n_steps}", *optimizer)
    assert failed.status == 1
    assert "lower the learning rate" in failed.err.splitlines()[-1]
    for path in RUN.glob("checkpoints/*.ckpt"):
        assert all(value.isfinite().all() for value in load(path.stem)["state_dict"].values())


def damage(path: Path, how: str, where: float = 0.3) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    elif how == "altered":
        content[int(where * len(content))] ^= 16
    else:
        content.clear()
    path.write_bytes(content)


@pytest.mark.parametrize(
    "how", ["altered", *(pytest.param(how, marks=pytest.mark.slow) for how in ("truncated", "emptied"))]
)
def test_the_checkpoint_before_a_damaged_one_is_used(how: str, command: Command) -> None:
    assert command(*FIT).status == 0
    last = RUN / "checkpoints" / "last.ckpt"
    damage(last, how)
    step = load("previous")["global_step"]
    resumed = command(*FIT, "--ckpt_path=last")
    assert resumed.status == 0
    assert re.search(f"^{last} is damaged: .*: using the one before it, .*/previous.ckpt$", resumed.err, re.MULTILINE)
    assert 0 < step < 60
    for name in ("last", "previous"):
        damage(RUN / "checkpoints" / f"{name}.ckpt", how, 0.5)
    refused = command(*FIT, "--ckpt_path=last")
    assert refused.status == 2
    assert "there is nothing to use instead" in refused.err


def test_last_with_nothing_there_is_an_error(command: Command) -> None:
    refused = command(*FIT, "--ckpt_path=last")
    assert (refused.status, refused.out) == (2, "")
    assert not Path("lightning_logs").exists()


def test_what_changed_is_said_and_what_matters_must_be_allowed(command: Command) -> None:
    assert command(*FIT).status == 0
    go_on = ["fit", "--ckpt_path", str(RUN), "--trainer.max_epochs=4"]
    before = (RUN / "config.yaml").read_text()
    refused = command(*go_on, "--data.batch_size=8", "--model.optimizer.lr=0.5")
    assert refused.status == 2
    assert "changed: data.batch_size was 4 and is 8" in refused.err
    assert "add --allow_changes" in refused.err.splitlines()[-1]
    assert (RUN / "config.yaml").read_text() == before
    assert command(*go_on, "--data.batch_size=8", "--model.optimizer.lr=0.5", "--allow_changes").status == 0
    assert load()["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5
    assert load()["global_step"] == 60 + 10
    plain = command("fit", "--ckpt_path", str(RUN), "--trainer.max_epochs=5")
    assert plain.status == 0
    assert "changed: trainer.max_epochs was 4 and is 5" in plain.err


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_directory(command: Command) -> None:
    from filelock import FileLock

    assert command(*FIT).status == 0
    with FileLock(RUN / ".lock"):
        refused = command("fit", "--ckpt_path", str(RUN), "--trainer.max_epochs=4")
    assert refused.status == 2
    assert f"another process trains in {RUN}" in refused.err


HOSTILE = Path("imported")


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (HOSTILE.touch, ())


@pytest.mark.parametrize(
    "where", ["state_dict", *(pytest.param(key, marks=pytest.mark.slow) for key in ("callbacks", "hyper_parameters"))]
)
def test_a_hostile_checkpoint_does_nothing(where: str, command: Command) -> None:
    assert command(*FIT).status == 0
    last = RUN / "checkpoints" / "last.ckpt"
    torch.save({**load(), where: Hostile()}, last)
    for subcommand in (["fit", "--trainer.max_epochs=4"], ["test"]):
        refused = command(*subcommand, f"--ckpt_path={last}")
        assert refused.status == 2
        assert "is not a checkpoint that can be trusted" in refused.err
    assert not HOSTILE.exists()


def test_load_run_gives_the_trained_task(command: Command) -> None:
    from lightning_template.load import load_run

    assert command(*FIT).status == 0
    task, data = load_run(RUN)
    assert data is not None
    assert not task.training
    inputs, targets = next(iter(data.test_dataloader()))
    weight, bias = load("best")["state_dict"].values()
    torch.testing.assert_close(task(inputs), inputs @ weight.T + bias)
    assert targets.shape == (len(inputs), 1)
    with pytest.raises(ValueError, match="no run directory or checkpoint"):
        load_run("nowhere")

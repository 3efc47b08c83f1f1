"""Lightning's own answers to signals and its search for checkpoints: they are there, and ours replace them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lightning_template.engine.loops import take_over_signals

SLURM = {"JOB_ID": "1", "JOB_NAME": "train", "NTASKS": "1", "LOCALID": "0", "PROCID": "0", "NODEID": "0"}


@pytest.fixture
def trainer(workspace: Path) -> Iterator[Trainer]:
    """Return the trainer of a job of SLURM, in a folder with a checkpoint of another run."""
    os.environ |= {f"SLURM_{name}": value for name, value in SLURM.items()}
    Path("hpc_ckpt_3.ckpt").touch()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield Trainer(logger=False, accelerator="cpu", devices=1, enable_progress_bar=False, enable_checkpointing=False)
    for number, handler in before.items():
        signal.signal(number, handler)


def checkpoint_of(trainer: Trainer) -> object:
    return trainer._checkpoint_connector._select_ckpt_path(TrainerFn.FITTING, None, True, True)


def handlers_of(trainer: Trainer) -> list[object]:
    trainer._signal_connector.register_signal_handlers()
    handlers: list[object] = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    trainer._signal_connector.teardown()
    return handlers


def test_lightning_answers_and_searches(trainer: Trainer) -> None:
    assert str(checkpoint_of(trainer)).endswith("hpc_ckpt_3.ckpt")
    assert [type(handler).__name__ for handler in handlers_of(trainer)] == ["_HandlersCompose"] * 2


def test_then_it_does_not(trainer: Trainer) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    take_over_signals(trainer)
    assert checkpoint_of(trainer) is None
    assert handlers_of(trainer) == before
    assert not trainer.received_sigterm

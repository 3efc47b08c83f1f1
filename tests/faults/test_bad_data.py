"""Data that nothing can be learned from: what is said, and that nothing good is lost."""

import gc
import multiprocessing
import re
from pathlib import Path

import pytest
from test_runs_that_stop import FIT, RUN, load, nothing_is_half_written

from conftest import ROOT, Command, Result

LOADED = [
    "fit",
    f"--config={ROOT / 'configs/line/adam.yaml'}",
    "--data=injected.FaultyLoader",
    "--trainer.reload_dataloaders_every_n_epochs=1",
    "--trainer.max_epochs=3",
    "--callbacks.figures=null",
]
"""Three epochs of five steps, of which the second meets a fault."""

WITHOUT_VALIDATION = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*smaller than the logging interval",
    "ignore:.*no `val_dataloader`",
    "ignore:Total length of",
)


def assert_refused(result: Result, message: str) -> None:
    assert result.status == 2
    assert [line for line in result.err.splitlines() if line][-1] == f"lightning-template: error: {message}"
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize(("part", "kind"), [(0, "inputs"), (1, "targets")])
def test_a_value_that_is_not_finite_is_refused(part: int, kind: str, command: Command) -> None:
    refused = command(*FIT, "--data=injected.NotFinite", f"--data.part={part}", "--data.index=17")
    assert_refused(refused, f"training {kind} must be finite, but not so in 1 samples, first 17")


def test_a_split_that_leaves_a_part_empty_is_refused(command: Command) -> None:
    refused = command(*FIT, "--data.val_fraction=0.001")
    assert_refused(refused, "a fraction of 0.001 of 100 samples leaves a part empty")


def test_a_batch_may_be_larger_than_the_data(command: Command) -> None:
    args = [arg for arg in FIT if "val_check_interval" not in arg]
    assert command(*args, "--data.batch_size=1000").status == 0
    assert load()["global_step"] == 3


def test_a_target_that_is_no_class(command: Command, fashion_mnist: Path) -> None:
    config = f"--config={ROOT / 'configs/fashion_mnist/mlp.yaml'}"
    few = ["--model.num_classes=5", "--model.network.out_features=5"]
    refused = command("fit", config, f"--data.data_dir={fashion_mnist}", *few)
    assert refused.status == 2
    assert "the data have 10 classes, `model.num_classes` is 5" in refused.err.splitlines()[-1]
    assert not list(Path().rglob("*.ckpt"))


@WITHOUT_VALIDATION
def test_no_training_data_is_an_error(command: Command) -> None:
    refused = command(*LOADED, "--data.num_samples=0")
    assert refused.status == 2
    assert "the training set has no batches" in refused.err.splitlines()[-1]
    assert not list(Path().rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("fault", "num_workers", "status", "message"),
    [
        ("raises", 0, 2, "sample 10 cannot be read; "),
        pytest.param(
            *("raises", 1, 2, r"ValueError: sample 10 cannot be read \(ValueError in DataLoader worker process 0\); "),
            marks=pytest.mark.slow,
        ),
        ("dies", 1, 1, "killed|exited unexpectedly"),  # torch may hear of it in three ways
        ("is not a number", 0, 1, "the loss is nan after step"),
    ],
)
@WITHOUT_VALIDATION
def test_a_sample_that_fails_leaves_the_checkpoint_before(
    fault: str, num_workers: int, status: int, message: str, command: Command
) -> None:
    failed = command(*LOADED, f"--data.fault={fault}", f"--data.num_workers={num_workers}")
    assert failed.status == status, failed.err
    last = failed.err.splitlines()[-1]
    assert re.search(message, last)
    assert "to go on from the last checkpoint: " in last
    assert last.endswith(f"lightning-template fit --ckpt_path {RUN}")
    assert load()["global_step"] == 5
    assert all(value.isfinite().all() for value in load()["state_dict"].values())
    assert nothing_is_half_written()
    gc.collect()  # the loader's iterator, which the exception knew
    for child in multiprocessing.active_children():
        child.join(timeout=60)
    assert not multiprocessing.active_children()

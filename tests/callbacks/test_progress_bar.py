"""How far a run is: a bar in a terminal, lines in a log file."""

import sys
from pathlib import Path

import pytest

from conftest import ROOT, Command
from lightning_template.callbacks import progress_bar

OLS = ["--config", ROOT / "configs" / "line" / "ols.yaml", "--callbacks.figures=null", "--callbacks.dashboard=null"]
OLS += ["--data.val_fraction=0.1", "--data.batch_size=45", "--trainer.max_epochs=2"]


def test_a_log_file_gets_one_line_where_time_is_short(command: Command) -> None:
    result = command("fit", *OLS)
    lines = [line for line in result.out.splitlines() if "batches" in line]
    assert len(lines) == 1
    assert lines[0].startswith("epoch 2/2: 100 %, 00:0")
    assert "0:00 left" in lines[0]
    assert "train/loss_step=0." in lines[0]
    assert "val/loss=0." in lines[0]
    assert "\r" not in result.out


def test_a_log_file_gets_lines_as_time_goes_by(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS_OF_LINES", 0.0)
    lines = [line.split(",")[0] for line in command("fit", *OLS).out.splitlines() if "batches" in line]
    assert lines == [
        "epoch 1/2: 25 %",
        "epoch 1/2: 50 %",
        "epoch 1/2",  # validation
        "epoch 2/2: 75 %",
        "epoch 2/2: 100 %",
        "epoch 2/2",
        "epoch 2/2: 100 %",
    ]


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_terminal_gets_a_bar_that_redraws_on_a_clock(
    seconds: float, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS", seconds)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = command("fit", *OLS).out
    assert "\repoch 2/2: 100%|" in out
    assert ("\repoch 1/2:  50%|" in out) == (seconds == 0)


def test_a_task_shows_what_it_watches(command: Command, fashion_mnist: Path) -> None:
    config = ROOT / "configs" / "fashion_mnist" / "mlp.yaml"
    off = ["--callbacks.figures=null", "--callbacks.dashboard=null", "--trainer.max_epochs=1", "--data.batch_size=1"]
    assert "val/accuracy=" in command("fit", "--config", config, *off, "--data.data_dir", fashion_mnist).out


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_evaluation_has_a_bar(stage: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS_OF_LINES", 0.0)
    out = command(stage, *OLS[:-1], "--data.eval_batch_size=5", "--allow_untrained").out
    what = {"validate": "validation: 50 %", "test": "test: 5 %", "predict": "prediction: 5 %"}[stage]
    assert what in out

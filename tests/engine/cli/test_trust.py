"""Whose configuration is used with a checkpoint, and what of it is run."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, Command
from lightning_template.engine.cli import command_line
from lightning_template.engine.cli.command_line import read_command_line

OLS = str(ROOT / "configs/line/ols.yaml")
RUN = Path("lightning_logs/line_ols/version_0")
CHECKPOINT = str(RUN / "checkpoints" / "last.ckpt")
CODE = "import sys\nsys.stderr.write('imported\\n')\nfrom lightning_template.tasks import RegressionTask as Task\n"


@pytest.fixture
def sent(command: Command, workspace: Path) -> Path:
    """Return somebody's run directory, whose configuration names a class that says when it is imported."""
    assert command("fit", "--config", OLS, "--trainer.max_epochs", "1").status == 0
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    config["model"]["class_path"] = "sent_code.Task"
    config["trainer"] |= {
        "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "x"}}
    }
    sent = workspace / "sent"
    shutil.copytree(RUN, sent)
    (sent / "config.yaml").write_text(yaml.safe_dump(config))
    (workspace / "sent_code.py").write_text(CODE)
    return sent


def test_with_a_configuration_of_ones_own_nothing_is_taken_from_the_sender(sent: Path, command: Command) -> None:
    result = command("test", "--config", OLS, "--ckpt_path", sent / "checkpoints" / "last.ckpt")
    assert result.status == 0, result.err
    assert "imported" not in result.err
    assert "configuration:" not in result.err
    assert not Path("x").exists()
    assert "changed: model was sent_code.Task and is lightning_template.tasks.RegressionTask" in result.err


def test_without_one_the_senders_is_named_before_it_is_imported(sent: Path, command: Command) -> None:
    result = command("test", "--ckpt_path", sent)
    assert result.status == 0, result.err
    lines = result.err.splitlines()
    assert lines[0] == f"configuration: {sent / 'config.yaml'}"
    assert lines.index("imported") > 0


@pytest.fixture
def run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what looks like a run directory."""
    monkeypatch.setattr(command_line, "resolve_checkpoint", lambda where, *_: Path(where))
    (RUN / "checkpoints").mkdir(parents=True)
    Path(CHECKPOINT).touch()
    (RUN / "config.yaml").write_text("{experiment: theirs, model: {class_path: a.B}, data: {class_path: c.D}}")
    files: dict[str, Any] = {
        "own.yaml": {"model": {"class_path": "a.B"}, "data": {"class_path": "c.D"}},
        "model.yaml": {"model": {"class_path": "a.B"}},
        "data.yaml": {"data": "c.D"},
        "overlay.yaml": {"model": {"init_args": {"network": {"class_path": "a.B"}}}, "data": {"init_args": {}}},
    }
    for name, content in files.items():
        Path(name).write_text(yaml.safe_dump(content))
    return RUN


OVERLAID = f"configuration: {RUN / 'config.yaml'}, overridden by "


@pytest.mark.parametrize(
    ("options", "origin"),
    [
        ([], f"configuration: {RUN / 'config.yaml'}"),
        (["--trainer.max_epochs", "3"], f"configuration: {RUN / 'config.yaml'}"),
        (["--model", "a.B"], f"configuration: {RUN / 'config.yaml'}"),
        (["--config", "overlay.yaml"], f"{OVERLAID}overlay.yaml"),
        (["--config", "overlay.yaml", "--config=model.yaml"], f"{OVERLAID}overlay.yaml, model.yaml"),
        (["--config", "own.yaml"], ""),
        (["--config", "own.yaml", "--config", "overlay.yaml"], ""),
        (["--config", "overlay.yaml", "-c", "own.yaml"], ""),
        (["--config", "model.yaml", "--config", "data.yaml"], ""),
        (["--config", "model.yaml", "--data", "c.D"], ""),
        (["--config", "data.yaml", "--model.class_path=a.B"], ""),
        (["--model=a.B", "--data.class_path", "c.D"], ""),
    ],
)
def test_whose_configuration_is_used(options: list[str], origin: str, run: Path) -> None:
    where = ["--ckpt_path", CHECKPOINT]
    line = read_command_line(["fit", *options, *where])
    assert line.origin == origin
    assert line.run == run  # a run that is resumed goes on in its directory
    own = ["--config", str(run / "config.yaml")] if origin else []
    assert line.args == ["fit", *own, *options, *where]


def test_a_run_with_an_own_configuration_needs_none_of_the_sender(run: Path) -> None:
    (run / "config.yaml").write_text("a: &a [*a]")
    options = ["--ckpt_path", CHECKPOINT]
    assert read_command_line(["test", "--config", "own.yaml", *options]).origin == ""
    with pytest.raises(ValueError, match="contains itself"):
        read_command_line(["test", *options])


def test_weights_of_another_architecture_point_at_the_runs_configuration(command: Command) -> None:
    wide = ["--model.network.hidden_features", "[3]", "--trainer.max_epochs", "1"]
    assert command("fit", "--config", OLS, *wide).status == 0
    status, _, err = command("test", "--config", OLS, "--ckpt_path", "last")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.endswith("; without --config, the configuration of its run is used\n")
    assert command("test", "--ckpt_path", RUN).status == 0


PARTS: dict[str, tuple[Any, str]] = {
    "model without class": ({"model": {"init_args": {"x": 1}}, "data": "c.D"}, "`model` needs a `class_path`"),
    "data without class": ({"model": "a.B", "data": {"batch_size": 3}}, "`data` needs a `class_path`"),
    "null as class": ({"model": {"class_path": None}, "data": "c.D"}, "`model` needs a `class_path`"),
    "number as class": ({"model": {"class_path": 3}, "data": "c.D"}, "`model` needs a `class_path`"),
    "model as list": ({"model": [1]}, r"`model` must hold names and values, got \[1\]"),
    "arguments as list": (
        {"data": {"class_path": "a.B", "init_args": [1]}},
        r"`data.init_args` must hold names and values, got \[1\]",
    ),
    "trainer as number": ({"trainer": 3}, "`trainer` must hold names and values, got 3"),
    "callbacks as list": ({"callbacks": ["a.B"]}, "`callbacks` must hold names and values, got "),
}


@pytest.mark.parametrize("mistake", PARTS)
def test_parts_of_a_configuration_are_checked(mistake: str, workspace: Path) -> None:
    config, message = PARTS[mistake]
    Path("x.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=message):
        read_command_line(["fit", "--config", "x.yaml"])


def test_a_class_may_be_named_elsewhere(workspace: Path) -> None:
    Path("x.yaml").write_text("model: {init_args: {x: 1}}\ndata: c.yaml\ntrainer: t.yaml\ncallbacks: null\n")
    Path("y.yaml").write_text("model: {class_path: a.B}\n")
    assert read_command_line(["fit", "--config", "x.yaml", "--config", "y.yaml"])
    assert read_command_line(["fit", "--config", "x.yaml", "--model=a.B"])

"""Damaged, missing and deleted files, met by the commands themselves."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from test_runs_that_stop import FIT, RUN, inject, load

from conftest import Command
from lightning_template.engine.runs.digests import load_json
from lightning_template.engine.runs.directories import read_json

CHECKPOINTS = RUN / "checkpoints"


def flip(path: Path, position: int | None = None) -> None:
    """Change one bit; in the middle unless said otherwise."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 0x10
    path.write_bytes(content)


def mark_as_folder(path: Path) -> None:
    """Change the bit by which torch leaves a tensor as it is, without a word."""
    content = path.read_bytes()
    entry = content.rindex(b"PK\1\2", 0, content.rindex(b"data/0"))
    flip(path, entry + 38)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a folder": mark_as_folder,
    "the end record": lambda path: flip(path, -80),
    "the digest": lambda path: flip(path, -1),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-71]),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return where a run is kept that is trained once: empty until then."""
    return []


@pytest.fixture
def run(trained: list[Path], command: Command, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of a finished run, in the folder that commands work in."""
    if not trained:
        assert command(*FIT).status == 0
        trained.append(tmp_path_factory.mktemp("trained") / "logs")
        shutil.copytree("lightning_logs", trained[0])
    else:
        shutil.copytree(trained[0], "lightning_logs")
    return RUN


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_best_is_not_tested(damage: Callable[[Path], object], run: Path, command: Command) -> None:
    damage(CHECKPOINTS / "best.ckpt")
    before = (run / "metrics.json").read_bytes()
    for subcommand in ("test", "predict"):
        refused = command(subcommand, f"--ckpt_path={run}")
        assert (refused.status, refused.out) == (2, "")
        (line,) = refused.err.splitlines()
        assert line.startswith(f"lightning-template: error: {CHECKPOINTS}/best.ckpt is damaged: ")
    assert (run / "metrics.json").read_bytes() == before
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


@pytest.mark.parametrize(
    "damage",
    [DAMAGE["a folder"], *(pytest.param(DAMAGE[name], marks=pytest.mark.slow, id=name) for name in [*DAMAGE][1:])],
)
def test_a_run_goes_on_from_the_one_before_a_damaged_last(
    damage: Callable[[Path], object], run: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load("last")
    damage(CHECKPOINTS / "last.ckpt")
    resumed = command("fit", f"--ckpt_path={run}")
    assert resumed.status == 0
    assert re.match(r".*/last.ckpt is damaged: .*: using the one before it, .*/previous.ckpt", caplog.messages[0])
    for key in ("state_dict", "optimizer_states", "global_step", "epoch"):
        torch.testing.assert_close(load("last")[key], whole[key], rtol=0, atol=0)


def test_a_run_without_its_last_goes_on_from_the_one_before_it_not_from_the_best(
    run: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    (CHECKPOINTS / "last.ckpt").unlink()
    resumed = command("fit", f"--ckpt_path={run}")
    assert resumed.status == 0
    (line,) = caplog.messages
    assert line == f"there is no {CHECKPOINTS}/last.ckpt: using the one before it, {CHECKPOINTS}/previous.ckpt"
    assert load("last")["global_step"] == 60


def test_load_run_refuses_damaged_weights_and_a_damaged_configuration(run: Path) -> None:
    from lightning_template.load import load_run

    mark_as_folder(CHECKPOINTS / "best.ckpt")
    with pytest.raises(ValueError, match=r"best\.ckpt is damaged"):
        load_run(run)
    load_run(run, "last")
    flip(run / "config.yaml")
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        load_run(run, "last")


def test_a_best_that_is_damaged_while_a_run_trains_is_not_tested_after_it(command: Command) -> None:
    failed = command(*FIT, "--test_after_fit", "--trainer.callbacks=test_integrity.DamageAtEnd")
    assert failed.status == 2
    assert "best.ckpt is damaged: its content does not match its digest" in failed.err.splitlines()[-1]
    assert "test" not in read_json(RUN / "metrics.json")


class DamageAtEnd(Callback):
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mark_as_folder(CHECKPOINTS / "best.ckpt")


@pytest.mark.parametrize("args", [["fit"], ["test"], ["fit", f"--config={RUN / 'config.yaml'}"]])
def test_a_changed_configuration_is_refused_until_its_first_line_is_deleted(
    args: list[str], run: Path, command: Command
) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("max_epochs: 3", "max_epochs: 4"))
    refused = command(*args, f"--ckpt_path={run}")
    assert refused.status == 2
    assert refused.err == (
        f"lightning-template: error: {config} is damaged: its content does not match the sha256 in its first line; "
        "if you changed it on purpose, delete that line\n"
    )
    if args == ["fit"]:
        config.write_text(config.read_text().partition("\n")[2])
        assert command("fit", f"--ckpt_path={run}").status == 0
        assert load()["global_step"] == 80
        assert config.read_text().startswith("# sha256: ")


SPOIL: dict[str, Callable[[str], str]] = {
    "changed": lambda text: text.replace("0", "1", 1),
    "cut": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[1]",
    "empty": lambda text: "",
    "nested": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize(
    "spoil", [SPOIL["changed"], *(pytest.param(SPOIL[name], marks=pytest.mark.slow, id=name) for name in [*SPOIL][1:])]
)
def test_damaged_metrics_and_state_block_nothing(spoil: Callable[[str], str], run: Path, command: Command) -> None:
    names = ("metrics.json", "state.json", "environment.json")
    spoiled = {name: spoil((run / name).read_text()) for name in names}
    for name, text in spoiled.items():
        (run / name).write_text(text)
    assert command("runs").status == 0
    assert command("runs", "show", run).status == 0
    tested = command("test", f"--ckpt_path={run}")
    assert tested.status == 0
    (line,) = (line for line in tested.err.splitlines() if "damaged" in line)
    assert line.startswith(f"{run}/metrics.json was damaged and is now metrics.json.damaged: ")
    assert (run / "metrics.json.damaged").read_text() == spoiled["metrics.json"]
    assert read_json(run / "metrics.json").keys() == {"test"}
    resumed = command("fit", f"--ckpt_path={run}", "--trainer.max_epochs=4")
    assert resumed.status == 0
    (line,) = (line for line in resumed.err.splitlines() if "damaged" in line)
    assert line.startswith(f"{run}/state.json was damaged and is now state.json.damaged: ")
    for name in names:
        assert load_json((run / name).read_text())
    (found,) = json.loads(command("runs", "--json").out)
    assert (found["state"], found["epochs"]) == ("finished", 4)


def test_a_run_without_its_configuration_is_not_trained_elsewhere(run: Path, command: Command) -> None:
    (run / "config.yaml").unlink()
    for where in ("last", run, CHECKPOINTS / "last.ckpt"):
        for args in (FIT, ["test", FIT[1]]):
            refused = command(*args, f"--ckpt_path={where}")
            assert refused.status == 2
            assert refused.err == (
                f"lightning-template: error: {run} has no config.yaml, which says what its checkpoints are of: "
                "put it back\n"
            )
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


class TakeAway(Callback):
    """Deletes, moves or replaces the run directory within a step."""

    def __init__(self, step: int, how: str) -> None:
        self.step = step
        self.how = how

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            RUN.rename("moved")
            if self.how == "replaced":
                RUN.mkdir()
                (RUN / "state.json").write_text("of another run")
            if self.how == "deleted":
                shutil.rmtree("moved")


@pytest.mark.parametrize(
    ("how", "step"),
    [
        ("deleted", 10),
        ("moved", 10),
        ("replaced", 10),
        pytest.param("deleted", 58, marks=pytest.mark.slow),  # before the last checkpoint
        pytest.param("replaced", 58, marks=pytest.mark.slow),
    ],
)
def test_a_run_whose_directory_goes_away_ends(step: int, how: str, command: Command) -> None:
    callback = ["--trainer.callbacks=test_integrity.TakeAway", f"--trainer.callbacks.step={step}"]
    failed = command(*FIT, *callback, f"--trainer.callbacks.how={how}", "--trainer.profiler=simple")
    assert failed.status == 1
    expected = f"FileNotFoundError: {RUN} was deleted, moved or replaced while this process wrote into it"
    assert failed.err.splitlines()[-1].startswith(f"lightning-template: error: {expected}")
    assert [line for line in failed.err.splitlines() if "Traceback" in line] == []
    if how == "replaced":  # TensorBoard may have written there before the next boundary
        assert (RUN / "state.json").read_text() == "of another run"
        assert {path.name.split(".")[0] for path in RUN.iterdir()} <= {"state", "events", "hparams"}
    else:
        assert not RUN.exists()
    if how == "moved":
        resumed = command("fit", "--ckpt_path=moved", "--trainer.callbacks=null", "--trainer.profiler=null")
        assert resumed.status == 0


@pytest.mark.parametrize(
    ("subcommand", "value"),
    [("test", "nan"), ("validate", "inf"), pytest.param("test", "-inf", marks=pytest.mark.slow)],
)
def test_a_loss_that_is_not_finite_is_no_result(subcommand: str, value: str, run: Path, command: Command) -> None:
    best = CHECKPOINTS / "best.ckpt"
    content = load("best")
    next(iter(content["state_dict"].values())).fill_(float(value))
    torch.save(content, best)
    before = (run / "metrics.json").read_bytes()
    failed = command(subcommand, f"--ckpt_path={best}")
    assert failed.status == 1
    stage = {"test": "test", "validate": "val"}[subcommand]
    error = failed.err.splitlines()[-1]
    assert re.search(rf"error: FloatingPointError: {stage}/loss is (nan|inf), so no metrics are kept", error)
    assert failed.out == ""
    assert (run / "metrics.json").read_bytes() == before


def test_a_run_that_was_killed_while_it_kept_its_last_goes_on(command: Command) -> None:
    """As after a kill where the last checkpoint had got its second name."""
    assert command(*FIT, *inject("OutOfMemory", step=13)).status == 1
    previous = CHECKPOINTS / "previous.ckpt"
    previous.unlink()
    previous.hardlink_to(CHECKPOINTS / "last.ckpt")
    assert command("fit", f"--ckpt_path={RUN}", "--trainer.callbacks=null").status == 0
    assert [load(name)["global_step"] for name in ("previous", "last")] == [57, 60]
    assert not list(CHECKPOINTS.glob(".*"))

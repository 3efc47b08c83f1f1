"""Run directories, without torch."""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_template.engine.runs import directories as runs
from lightning_template.engine.runs import records


def make_run(root: Path) -> Path:
    run = runs.create_run(root, "line")
    (run / "config.yaml").touch()
    (run / "checkpoints").mkdir()
    return run


def create_ten(root: Path) -> list[str]:
    return [str(runs.create_run(root, "line")) for _ in range(10)]


def test_processes_never_share_a_directory(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        created = [run for batch in pool.map(create_ten, [tmp_path] * 4) for run in batch]
    assert len(set(created)) == 40


def test_versions_are_numbers_not_words(tmp_path: Path) -> None:
    for version in (2, 10):
        (tmp_path / "lightning_logs" / "line" / f"version_{version}").mkdir(parents=True)
    (tmp_path / "lightning_logs" / "line" / "version_x").mkdir()
    assert runs.create_run(tmp_path, "line").name == "version_11"
    assert [run.name for run in runs.find_runs(tmp_path, "line")] == ["version_2", "version_10", "version_11"]


def test_metrics_are_merged(tmp_path: Path) -> None:
    for loss in (3.0, 1.0):
        runs.update_json(tmp_path / "metrics.json", {"best": {"val/loss": loss}})
    runs.update_json(tmp_path / "metrics.json", {"test": {"test/loss": 2.0}})
    assert runs.read_json(tmp_path / "metrics.json") == {
        "best": {"val/loss": 1.0},
        "test": {"test/loss": 2.0},
    }
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_the_summary_gives_commands_that_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "two words")
    best = {"monitor": "val/loss", "mode": "min", "best_score": 0.25, "best_epoch": 1}
    runs.update_json(run / "metrics.json", {"best": best})
    last = {"train/loss_step": 0.5, "train/loss": 0.25, "train/mae": 1.5, "val/loss": 0.375, "optimizer/lr": 0.1}
    runs.update_json(run / "metrics.json", {"final": last, "test": {"test/mae": 2.0}})
    monkeypatch.setenv("LIGHTNING_TEMPLATE_LAUNCHER", "my project/scripts/run")
    assert runs.summarise(run) == (
        "last       train     val       test\n"
        "loss       0.2500    0.3750\n"
        "mae        1.5000              2.0000\n"
        "best       val/loss 0.2500 after epoch 2\n"
        f"run        {run}\n"
        f"test       'my project/scripts/run' lightning-template test --ckpt_path '{run}'\n"
        f"dashboard  'my project/scripts/run' tensorboard --logdir '{tmp_path}/two words/lightning_logs'\n"
    )


def test_what_a_killed_training_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    left = [run / ".state.json.12", run / ".config.yaml.12", run / "checkpoints" / ".last.ckpt.12"]
    others = [run / ".predictions.csv.12", run / ".lock", run / "state.json", run / "checkpoints" / "last.ckpt"]
    for path in (*left, *others):
        path.touch()
    assert sorted(runs.unfinished_files(run)) == sorted(left)


KNOWN: dict[str, dict[str, Any]] = {
    "state.json": {
        "state": "failed", "epochs": 3, "steps": 12, "seconds": 4.5, "error": "no memory", "started": "2026-01-02",
    },
    "environment.json": {"git_commit": "abc", "git_dirty": True, "started": "2026-01-01"},
    "metrics.json": {
        "best": {"monitor": "val/loss", "mode": "min", "best_score": 0.5, "best_epoch": 1},
        "test": {"test/loss": 0.25, "checkpoint": "best.ckpt"},
    },
}  # fmt: skip


def test_a_run_is_what_its_files_say(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for name, entries in KNOWN.items():
        runs.update_json(run / name, entries)
    state, best = KNOWN["state.json"], KNOWN["metrics.json"]["best"]
    expected = {"path": str(run), "experiment": "line", "version": 0, **state, "commit": "abc", "dirty": True}
    assert records.read_run(run) == {**expected, "best": best, "final": None, "test": {"test/loss": 0.25}}
    runs.update_json(run / "state.json", {"started": None, "state": "running"})
    assert records.read_run(run)["started"] == "2026-01-01"
    assert records.read_run(run)["state"] == "interrupted"


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("epochs", 0, 0), ("epochs", -1, None), ("epochs", True, None), ("epochs", sys.maxsize, sys.maxsize),
        ("steps", sys.maxsize + 1, None), ("steps", 2.0, None), ("seconds", 0, 0.0), ("seconds", -0.5, None),
        ("seconds", 1e10, 1e10), ("seconds", 1.1e10, None), ("seconds", False, None), ("error", 3, None),
        ("started", "soon", None), ("started", 3, None),
    ],
)  # fmt: skip
def test_what_no_run_wrote_is_unknown(entry: str, value: object, expected: object, tmp_path: Path) -> None:
    runs.update_json(tmp_path / "state.json", {entry: value})
    found = records.read_run(tmp_path)[entry]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("state", ["running", "finished", "interrupted", "failed", "paused", None])
def test_the_state_is_one_of_four(state: str | None, tmp_path: Path) -> None:
    runs.update_json(tmp_path / "state.json", {"state": state})
    known = state if state in ("finished", "failed") else "interrupted"
    assert records.read_run(tmp_path)["state"] == known
    runs.update_json(tmp_path / "metrics.json", {"final": {}})
    assert records.read_run(tmp_path)["state"] == (known if state in records.STATES else "finished")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"monitor": 3}, {"mode": "auto"}, {"best_score": "0.5"}, {"best_score": True}, {"best_score": 10**400}),
        *({"best_score": float("nan")}, {"best_epoch": -1}, {"best_epoch": None}),
    ],
)
def test_an_incomplete_best_is_none(wrong: dict[str, object]) -> None:
    complete = {"monitor": "x", "mode": "max", "best_score": -sys.float_info.max, "best_epoch": 0}
    assert records.best_of({"best": complete}) == complete
    assert records.best_of({"best": {**complete, "best_score": 3}}) is not None
    assert records.best_of({"best": {**complete, **wrong}}) is None
    assert records.best_of({"best": [1]}) is None


def test_a_file_that_is_too_large_or_too_deep_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"

    def nested(levels: int) -> str:
        return '{"a": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"

    path.write_text(nested(records.DEEPEST))
    assert records.read_json(path) != {}
    path.write_text(nested(records.DEEPEST + 1))
    assert records.read_json(path) == {}
    path.write_text('{"a": 1}')
    monkeypatch.setattr(records, "LARGEST_FILE", 8)
    assert records.read_json(path) == {"a": 1}
    monkeypatch.setattr(records, "LARGEST_FILE", 7)
    assert records.read_json(path) == {}


def test_a_damaged_file_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("{")
    runs.update_json(path, {"final": {"val/loss": 0.5}})
    assert runs.read_json(path) == {"final": {"val/loss": 0.5}}
    assert (tmp_path / "metrics.json.damaged").read_text() == "{"
    (message,) = caplog.messages
    assert message.startswith(f"{path} was damaged and is now metrics.json.damaged: ")
    runs.update_json(path, {"test": {"test/loss": 1.0}})
    assert runs.read_json(path) == {"final": {"val/loss": 0.5}, "test": {"test/loss": 1.0}}

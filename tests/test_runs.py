"""Run directories, without torch."""

import multiprocessing
from pathlib import Path

import pytest

from lightning_template import runs


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

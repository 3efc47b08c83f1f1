"""Studies of a made-up run: samplers, pruners, seeds, failures, workers that die."""

import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from lightning_template.engine.cli.command_line import read_config
from lightning_template.engine.cli.commands.sweep_workers import run_workers
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.runs.directories import create_run, update_json
from lightning_template.engine.sweep.named import Maker
from lightning_template.engine.sweep.plan import Objective, Plan
from lightning_template.engine.sweep.report import Report
from lightning_template.engine.sweep.results import as_csv, cells, rows_of, sorted_rows
from lightning_template.engine.sweep.space import read_space
from lightning_template.engine.sweep.study import WORKERS, SweepStudy, suggest, try_sampler
from lightning_template.engine.sweep.worker import Worker

Curve = Callable[[Mapping[str, Any], int, int], Any]
"""Takes point, seed and epoch, and returns the objectives after it."""


class MadeUp:
    """A runner that trains nothing: the objectives are functions of point, seed and epoch."""

    def __init__(self, root: Path, curve: Curve, num_epochs: int = 1) -> None:
        self.root = root
        self.curve = curve
        self.num_epochs = num_epochs
        self.began: list[tuple[dict[str, Any], int]] = []
        self.went_on: list[Path] = []
        self.epochs = 0

    def __call__(
        self, point: Mapping[str, Any], seed: int, report: Report, marks: Mapping[str, Any], run: Path | None
    ) -> Path:
        self.began.append((dict(point), seed))
        self.went_on += [run] if run else []
        run = run or create_run(self.root, str(marks["study"]))
        (run / "checkpoints").mkdir(exist_ok=True)
        update_json(run / "state.json", marks)
        trainer: Any = SimpleNamespace(sanity_checking=False, should_stop=False)
        for epoch in range(self.num_epochs):
            found = self.curve(point, seed, epoch)
            trainer.current_epoch = epoch
            values = found if isinstance(found, tuple) else (found,)
            trainer.callback_metrics = {
                name: torch.tensor(value, dtype=torch.float64)
                for (name, _), value in zip(report.objectives, values, strict=True)
            }
            report.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]  # it looks at the trainer alone
            self.epochs += 1
            (run / "checkpoints" / "last.ckpt").touch()
            if trainer.should_stop:
                break
        update_json(run / "state.json", {"epochs": epoch + 1})
        return run


def plan_of(root: Path, *space: str, num_trials: int = 10, **options: Any) -> Plan:
    options = {"objectives": (Objective("val/loss", "min"),), "seeds": (0,), "sampler": "tpe", **options}
    return Plan("made_up", root, tuple(read_space(space, read_config)), config={}, num_trials=num_trials, **options)


def work(plan: Plan, runner: MadeUp) -> SweepStudy:
    study = SweepStudy(plan)
    assert Worker(study, runner, 1 << 40, int).work()
    return study


@pytest.mark.slow
def test_the_optimum_of_a_quadratic_is_found(tmp_path: Path) -> None:
    runner = MadeUp(tmp_path, lambda point, seed, epoch: (point["x"] - 2) ** 2 + (point["y"] + 1) ** 2)
    study = work(plan_of(tmp_path, "x=-5.0..5", "y=-5.0..5", num_trials=30), runner)
    best = sorted_rows(rows_of(study), study.plan)[0]
    assert best.params == pytest.approx({"x": 2, "y": -1}, abs=1)
    assert best.is_best
    assert best.values == pytest.approx([(best.params["x"] - 2) ** 2 + (best.params["y"] + 1) ** 2])


def test_a_grid_is_visited_once_and_a_study_goes_on(tmp_path: Path) -> None:
    runner = MadeUp(tmp_path, lambda point, seed, epoch: point["x"] + seed)
    options = {"sampler": "grid", "seeds": (3, 4), "objectives": (Objective("val/acc", "max"),)}
    first = work(plan_of(tmp_path, "x=1..3", "kind=[a],b", num_trials=2, **options), runner)
    assert first.is_finished()
    plan = plan_of(tmp_path, "x=1..3", "kind=[a],b", num_trials=6, **options)
    study = work(plan, runner)
    assert runner.began == [
        ({"x": x, "kind": kind}, seed) for x in (1, 2, 3) for kind in (["a"], "b") for seed in (3, 4)
    ]
    rows = sorted_rows(rows_of(study), plan)
    assert rows[0].values == [6.5]
    assert rows[0].deviations == pytest.approx([0.5**0.5])
    assert [row.is_best for row in rows] == [True, True, *[False] * 4]
    assert cells(rows, plan)[1] == ["4 *", "finished", "6.5 ± 0.71", "3", '["a"]', "version_8 version_9"]
    assert as_csv(rows, plan).splitlines()[1].startswith("4,finished,6.5,0.707106")


def test_a_failed_trial_stops_nothing(tmp_path: Path) -> None:
    def curve(point: Mapping[str, Any], seed: int, epoch: int) -> Any:
        if point["x"] == 2:
            raise RuntimeError("too\nlarge")
        if point["x"] == 4:
            raise SystemExit(3)
        return float("nan") if point["x"] == 3 else point["x"]

    study = work(plan_of(tmp_path, "x=1..5", num_trials=5, sampler="grid"), MadeUp(tmp_path, curve))
    rows = rows_of(study)
    assert [row.state for row in rows] == ["finished", "failed", "failed", "failed", "finished"]
    assert rows[1].error == "RuntimeError: too large"
    assert [row.runs for row in rows] == [["version_0"], [], [], [], ["version_4"]]
    assert rows[2].error == "ValueError: the objective val/loss was never a number; logged: val/loss"


def test_several_objectives_are_those_of_one_epoch(tmp_path: Path) -> None:
    objectives = (Objective("val/loss", "min"), Objective("size", "min"))
    runner = MadeUp(tmp_path, lambda point, seed, epoch: (abs(epoch - 1) - point["x"], point["x"] + epoch), 3)
    study = work(plan_of(tmp_path, "x=0,5,9", num_trials=3, sampler="grid", objectives=objectives), runner)
    assert [row.values for row in rows_of(study)] == [[0, 1], [-5, 6], [-9, 10]]
    assert all(row.is_best for row in rows_of(study)), "none is better in both"


@pytest.mark.slow
def test_median_pruning_saves_half_of_the_epochs_and_not_the_best(tmp_path: Path) -> None:
    def curve(point: Mapping[str, Any], seed: int, epoch: int) -> Any:
        return abs(point["x"] - 7) + 10 / (epoch + 1)

    plan = plan_of(tmp_path, "x=0.0..20", num_trials=30, sampler="random", pruner="median:n_startup_trials=3")
    runner = MadeUp(tmp_path, curve, num_epochs=8)
    rows = rows_of(work(plan, runner))
    assert sorted_rows(rows, plan)[0].params["x"] == min((row.params["x"] for row in rows), key=lambda x: abs(x - 7))
    assert runner.epochs <= 30 * 8 / 2
    for row in rows:
        assert (plan.folder / row.runs[0] / "checkpoints").exists() == (row.state == "finished")
    assert {row.state for row in rows} == {"finished", "pruned"}


def test_checkpoints_of_pruned_trials_are_kept_if_asked(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampler": "grid", "pruner": "threshold:upper=1.5", "seeds": (0, 1)}
    plan = plan_of(tmp_path, "x=1..2", num_trials=2, keeps_pruned=True, **options)
    rows = rows_of(work(plan, MadeUp(tmp_path, lambda point, seed, epoch: point["x"] * (1 - 0.5 * (seed == 0)), 2)))
    assert [(row.state, len(row.runs)) for row in rows] == [("finished", 2), ("pruned", 2)]
    assert all((plan.folder / run / "checkpoints").exists() for row in rows for run in row.runs)


def test_a_trial_of_a_dead_worker_is_taken_up_where_it_was(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "x=1..2", num_trials=2, sampler="grid", seeds=(0, 1))
    dead = SweepStudy(plan)
    with dead.alive():
        trial = dead.claim()
        assert trial is not None
        runner = MadeUp(tmp_path, lambda point, seed, epoch: point["x"])
        marks = {"study": plan.name, "trial": 0, "seed": 0}
        run = runner({"x": 1}, 0, Report(plan.objectives), marks, None)
        second = SweepStudy(plan).claim()
        assert second is not None
        assert second.number == 1, "the first one is claimed"
        third = SweepStudy(plan).claim()
        assert third is not None
        assert third.number == 1, "nobody holds the lock of the second worker"
    assert not (plan.folder / WORKERS / f"{dead.worker}.lock").exists()
    runner.began.clear()
    study = work(plan, runner)
    assert runner.went_on == [run], "the run that has a checkpoint"
    assert sorted(str(begun) for begun in runner.began) == [str(({"x": x}, seed)) for x in (1, 2) for seed in (0, 1)]
    assert [row.state for row in rows_of(study)] == ["finished", "finished"]


def test_a_trial_that_kills_its_workers_fails(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "x=1..2", num_trials=2, sampler="grid")
    claimed = [SweepStudy(plan).claim() for _ in range(4)]
    assert [trial and trial.number for trial in claimed] == [0, 0, 0, 1]
    rows = rows_of(SweepStudy(plan))
    assert rows[0].error == "its worker died 3 times"
    assert rows[0].state == "failed"


def test_a_stopped_trial_goes_on(tmp_path: Path) -> None:
    def curve(point: Mapping[str, Any], seed: int, epoch: int) -> Any:
        if stops and epoch == 1:
            stops.pop()
            raise Stopped(2)
        return epoch

    stops = [True] * 5  # more often than a trial may kill its worker
    plan = plan_of(tmp_path, "x=1..2", num_trials=1, sampler="grid")
    runner = MadeUp(tmp_path, curve, 2)
    for _ in range(5):
        with pytest.raises(Stopped):
            work(plan, runner)
    study = work(plan, runner)
    assert [row.state for row in rows_of(study)] == ["finished"]
    assert len(runner.went_on) == 5


def test_another_plan_is_refused(tmp_path: Path) -> None:
    SweepStudy(plan_of(tmp_path, "x=1..2"))
    SweepStudy(plan_of(tmp_path, "x=1..2", num_trials=99, sampler="random", pruner="median"))
    with pytest.raises(ValueError, match=r"begun with another space.x.values.high \(2, now 3\): name a new one"):
        SweepStudy(plan_of(tmp_path, "x=1..3"))
    with pytest.raises(ValueError, match="begun with another objectives"):
        SweepStudy(plan_of(tmp_path, "x=1..2", objectives=(Objective("val/loss", "max"),)))


def test_a_torn_line_of_the_journal_is_cut_off(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "x=1..2", num_trials=2, sampler="grid")
    work(plan_of(tmp_path, "x=1..2", num_trials=1, sampler="grid"), MadeUp(tmp_path, lambda *_: 1.0))
    with (plan.folder / "study.journal").open("a") as journal:
        journal.write('{"op_code":4,"wor')
    study = work(plan, MadeUp(tmp_path, lambda *_: 2.0))
    assert [row.values for row in rows_of(study)] == [[1.0], [2.0]]


def test_workers_draw_different_points(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "x=0.0..1", sampler="random")
    first, second = SweepStudy(plan), SweepStudy(plan)
    with first.alive(), second.alive():
        trials = first.claim(), second.claim()
        points = [suggest(trial, plan.space)["x"] for trial in trials if trial]
    assert len({*points}) == 2


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("tpee", "Sampler", "no sampler tpee, did you mean tpe?"),
        ("xyz", "Sampler", "there are brute"),
        ("grid:seed=1", "Sampler", "sampler grid does not take seed=1"),
        ("tpe:seeed=1", "Sampler", "sampler tpe does not take seeed=1, did you mean seed?"),
        ("median:n_warmup_steps", "Pruner", "does not take n_warmup_steps: write n_warmup_steps=VALUE"),
        ("percentile", "Pruner", "PercentilePruner: .*percentile"),
        ("median:n_startup_trials=-1", "Pruner", "MedianPruner: .*-1"),
    ],
)
def test_a_wrong_name_or_argument(text: str, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Maker(text, kind)


def test_names_are_those_of_optuna() -> None:
    assert isinstance(Maker("successive_halving:reduction_factor=2", "Pruner").make(0), optuna.pruners.BasePruner)
    assert isinstance(Maker("NSGAII", "Sampler").make(0), optuna.samplers.NSGAIISampler)


def test_a_sampler_that_cannot_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try_sampler(plan_of(tmp_path, "x=0.0..1", "y=a,b"))
    two = (Objective("a", "min"), Objective("b", "min"))
    with pytest.raises(ValueError, match=r"cannot search this space|CmaEsSampler"):
        try_sampler(plan_of(tmp_path, "x=0.0..1", "y=0.0..1", sampler="cmaes", objectives=two))
    assert not list(tmp_path.iterdir())


def test_workers_are_the_command_without_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, Any]]] = []

    def popen(args: list[str], **options: Any) -> Any:
        started.append((args, options))
        options["stdout"].write(b"it works")
        return SimpleNamespace(poll=lambda: 0, wait=lambda *_: 0)

    monkeypatch.setattr(subprocess, "Popen", popen)
    study = work(plan_of(tmp_path, "x=1..2", num_trials=2), MadeUp(tmp_path, lambda point, seed, epoch: point["x"]))
    run_workers(["--config=a", "--workers=2"], 2, study, lambda: None)
    for args, options in started:
        assert args == [
            sys.executable,
            "-P",
            "-m",
            *["lightning_template", "sweep", "--config=a", "--workers=2", "--workers=1"],
        ]
        assert (options["stdin"], options["stderr"]) == (subprocess.DEVNULL, subprocess.STDOUT)
        assert int(options["env"]["OMP_NUM_THREADS"]) >= 1
    assert len(started) == 2
    assert [log.read_text() for log in (study.plan.folder / WORKERS).glob("*_?.txt")] == ["it works"] * 2


def test_a_seed_without_a_run_has_none_in_the_table(tmp_path: Path) -> None:
    study = SweepStudy(plan_of(tmp_path, "x=1..2", num_trials=2))
    trial = study.claim()
    assert trial is not None
    for seed, run in enumerate(["version_3", None]):
        study.record(trial, seed, {"values": [0.5], "pruned": False, "run": run})
    study.end(trial, optuna.trial.TrialState.COMPLETE, [0.5])
    assert rows_of(study)[0].runs == ["version_3"]

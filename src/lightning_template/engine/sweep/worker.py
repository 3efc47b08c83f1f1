"""Worker of a study: runs trials in this process until none is left."""

import gc
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from optuna.trial import Trial, TrialState

from lightning_template.engine.process.errors import Stopped, one_line
from lightning_template.engine.runs.directories import STATE_FILE, find_runs, read_json, update_json
from lightning_template.engine.sweep.isolation import isolated
from lightning_template.engine.sweep.report import Report
from lightning_template.engine.sweep.study import RUNS, WORKERS, SweepStudy, runs_of, suggest

POLL = 0.5
"""Seconds between two looks for a trial that a dead worker left."""


class Runner(Protocol):
    """Trains once with the values of a point."""

    def __call__(
        self, point: Mapping[str, Any], seed: int, report: Report, marks: Mapping[str, Any], run: Path | None
    ) -> Path | None:
        """Train.

        Args:
            point: Options and their values.
            seed: Seed of the run.
            report: Callback to train with.
            marks: Entries of the run's `state.json`.
            run: Run directory to go on in.

        Returns:
            The run directory.
        """


class Worker:
    """Runs trials of a study, each with its own random numbers and settings, in this process.

    Args:
        study: The study.
        runner: Trains.
        max_growth: Number of bytes by which this process may grow after its first trial until it is to be replaced.
        show: Is called after each epoch and trial.
    """

    def __init__(self, study: SweepStudy, runner: Runner, max_growth: int, show: Callable[[], object]) -> None:
        self.study = study
        self.plan = study.plan
        self.runner = runner
        self.max_growth = max_growth
        self.show = show
        self.output = self.plan.folder / WORKERS / f"{study.worker}.txt"
        self._size: int | None = None

    def work(self) -> bool:
        """Run trials.

        Returns:
            Whether the study is finished; otherwise this process has grown too large, and another has to go on.

        Raises:
            Stopped: If a signal asked for it. The trial stays, to be gone on with.
        """
        with self.study.alive(), _frozen(), self.output.open("a", buffering=1, encoding="utf-8") as output:
            while not self.study.is_finished():
                trial = self.study.claim()
                if trial is None:  # others run the last ones, and may die
                    self.show()
                    time.sleep(POLL)
                    continue
                self.show()
                try:
                    with redirect_stdout(output), redirect_stderr(output):
                        self._run(trial)
                except (SystemExit, KeyboardInterrupt):
                    self.study.let_go(trial)
                    raise
                self.show()
                if self._has_grown():
                    return self.study.is_finished()
        return True

    def _has_grown(self) -> bool:
        size = memory()
        if self._size is None:
            self._size = size
        return size - self._size >= self.max_growth

    def _run(self, trial: Trial) -> None:
        """Run a trial, and record what came of it."""
        sys.stdout.write(f"# trial {trial.number}\n")
        point = suggest(trial, self.plan.space)
        try:
            values, pruned = self._runs(trial, point)
        except (Exception, SystemExit) as error:
            if isinstance(error, Stopped) or isinstance(error.__context__, KeyboardInterrupt):
                raise
            sys.stderr.write(f"error: {type(error).__name__}: {one_line(error)}\n")
            self.study.end(trial, TrialState.FAIL, error=f"{type(error).__name__}: {one_line(error)}")
            return
        if pruned:
            self.study.end(trial, TrialState.PRUNED)
            self._clean(trial)
        else:
            self.study.end(trial, TrialState.COMPLETE, values)

    def _runs(self, trial: Trial, point: Mapping[str, Any]) -> tuple[list[float], bool]:
        """Train with each seed that is not done.

        Returns:
            Means of the objectives over the seeds, and whether the trial was pruned.
        """
        epochs = 0
        for seed in self.plan.seeds:
            done = runs_of(trial).get(str(seed))
            if done is None:
                done = self._run_seed(trial, point, seed, epochs)
            if done["pruned"]:
                return [], True
            epochs += done["epochs"]
        found = [runs_of(trial)[str(seed)]["values"] for seed in self.plan.seeds]
        return [sum(values) / len(found) for values in zip(*found, strict=True)], False

    def _run_seed(self, trial: Trial, point: Mapping[str, Any], seed: int, epochs: int) -> dict[str, Any]:
        marks = {"study": self.plan.name, "trial": trial.number, "seed": seed}
        report = Report(self.plan.objectives, self._pruning(trial, epochs))
        with isolated():
            run = self.runner(point, seed, report, marks, self._begun(marks))
        values = [] if report.pruned else report.result()
        state = read_json(run / STATE_FILE) if run else {}
        if run and report.pruned:
            update_json(run / STATE_FILE, {"pruned": True})
        done = {"values": values, "pruned": report.pruned, "run": run.name if run else None}
        done["epochs"] = state.get("epochs") or 0
        self.study.record(trial, seed, done)
        return done

    def _begun(self, marks: Mapping[str, Any]) -> Path | None:
        """Return the run that a worker began and could not end, if it has a checkpoint."""
        for run in reversed(find_runs(self.plan.root, self.plan.name)):
            if marks.items() <= read_json(run / STATE_FILE).items():
                has_checkpoint = any((run / "checkpoints" / f"{name}.ckpt").is_file() for name in ("last", "previous"))
                return run if has_checkpoint else None
        return None

    def _pruning(self, trial: Trial, epochs: int) -> Callable[[int, float], bool] | None:
        """Return what asks Optuna whether to prune; steps are counted through all seeds of the trial."""
        if not self.plan.pruner:
            return None
        known = {*trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values}

        def is_pruned(epoch: int, value: float) -> bool:
            if epochs + epoch not in known:  # of a run that goes on
                trial.report(value, epochs + epoch)
            self.show()
            return trial.should_prune()

        return is_pruned

    def _clean(self, trial: Trial) -> None:
        """Delete the checkpoints of a pruned trial."""
        for done in trial.user_attrs[RUNS].values() if not self.plan.keeps_pruned else ():
            if done["run"]:
                shutil.rmtree(self.plan.folder / done["run"] / "checkpoints", ignore_errors=True)


@contextmanager
def _frozen() -> Iterator[None]:
    """Leave what was imported, half a million objects, out of garbage collection: a quarter of a short trial."""
    if gc.get_freeze_count():  # somebody else did so
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def memory() -> int:
    """Return the number of bytes of memory that this process holds; where that is not told, the most it has held."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()

"""Results of a study as rows: a trial each, with means and deviations over its seeds."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from lightning_template.engine.process.errors import one_line
from lightning_template.engine.sweep.plan import Plan
from lightning_template.engine.sweep.study import ERROR, SweepStudy, runs_of
from lightning_template.engine.sweep.values import label_of

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
}


class Row(NamedTuple):
    """A trial.

    Attributes:
        number: Its number.
        state: One of `STATES`.
        values: Mean of each objective over the seeds; empty if there are none.
        deviations: Standard deviation of each over the seeds; NaN for a single seed.
        params: Values of its options as Optuna keeps them.
        runs: Names of its run directories.
        error: Error of a failed trial.
        is_best: Whether no other one is better in all objectives.
    """

    number: int
    state: str
    values: list[float]
    deviations: list[float]
    params: dict[str, Any]
    runs: list[str]
    error: str
    is_best: bool


def rows_of(study: SweepStudy) -> list[Row]:
    """Return the rows of all trials, in their order."""
    trials = study.trials()
    completed = any(trial.state == TrialState.COMPLETE for trial in trials)
    best = {trial.number for trial in study.study.best_trials} if completed else set()
    return [_row(trial, trial.number in best) for trial in trials]


def _row(trial: FrozenTrial, is_best: bool) -> Row:
    done = [run for _, run in sorted(runs_of(trial).items(), key=lambda item: int(item[0]))]
    of_seeds = [run["values"] for run in done if run["values"]]
    is_complete = trial.state == TrialState.COMPLETE
    return Row(
        trial.number,
        STATES[trial.state],
        list(trial.values) if is_complete else [],
        [statistics.stdev(found) if len(found) > 1 else math.nan for found in zip(*of_seeds, strict=True)]
        if is_complete
        else [],
        dict(trial.params),
        [run["run"] for run in done if run["run"]],
        one_line(ValueError(trial.user_attrs[ERROR])) if trial.user_attrs.get(ERROR) else "",
        is_best,
    )


def sorted_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return rows, those of the best first objective first, those without one last."""
    sign = -1 if plan.objectives[0].mode == "max" else 1
    return sorted(rows, key=lambda row: (not row.values, sign * row.values[0] if row.values else row.number))


def cells(rows: Sequence[Row], plan: Plan) -> list[list[str]]:
    """Return a table with its head, as people read it."""
    head = ["trial", "state", *(f"{objective.name} ({objective.mode})" for objective in plan.objectives)]
    names = [parameter.name for parameter in plan.space]
    found = [[*head, *names, "run"]]
    for row in rows:
        values = [f"{value:.4g}{_deviation(spread)}" for value, spread in zip(row.values, row.deviations, strict=True)]
        values = values or ["" for _ in plan.objectives]
        params = [_shown(row.params[name]) if name in row.params else "" for name in names]
        runs = f"{row.runs[0]} and {len(row.runs) - 1} more" if len(row.runs) > 2 else " ".join(row.runs)
        mark = " *" if row.is_best else ""
        found.append([f"{row.number}{mark}", row.state, *values, *params, row.error[:80] or runs])
    return found


def _deviation(spread: float) -> str:
    return "" if math.isnan(spread) else f" ± {spread:.2g}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def as_csv(rows: Sequence[Row], plan: Plan) -> str:
    """Return the table of all trials as CSV, numbers with all their digits."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    names = [parameter.name for parameter in plan.space]
    of_objectives = [part for name, _ in plan.objectives for part in (name, f"{name} deviation")]
    writer.writerow(["trial", "state", *of_objectives, *names, "runs", "error"])
    for row in rows:
        pairs = zip(row.values, row.deviations, strict=True)
        values = [part for value, spread in pairs for part in (value, "" if math.isnan(spread) else spread)]
        params = [row.params.get(name, "") for name in names]
        writer.writerow(
            [row.number, row.state, *(values or [""] * len(of_objectives)), *params, " ".join(row.runs), row.error]
        )
    return output.getvalue()

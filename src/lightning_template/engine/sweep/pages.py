"""Plots of a study: one page that needs nothing else, and a picture of each."""

import html
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from lightning_template.engine.runs.files import replacing, write_text
from lightning_template.engine.sweep.results import Row, cells, sorted_rows
from lightning_template.engine.sweep.study import SweepStudy

PAGE = "study.html"
_STYLE = (
    "body{font-family:sans-serif;margin:2em auto;max-width:75em}td,th{text-align:left;padding:.2em 1em .2em 0}"
    "table{border-collapse:collapse}tr:nth-child(even){background:#f4f4f4}"
)


def _plots(study: SweepStudy) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield file name, Optuna's function and arguments of each plot that the study has the trials for."""
    objectives = study.plan.objectives
    trials = study.trials()
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    names = {name for trial in complete for name in trial.params}
    if not complete:
        return
    for number, (name, _) in enumerate(objectives):
        several = len(objectives) > 1
        options = {"target": _value(number)} if several else {}
        named = {**options, "target_name": name}
        end = f"_{number}" if several else ""
        yield f"history{end}", "plot_optimization_history", named
        varied = {key for key in names if len({str(trial.params.get(key)) for trial in complete}) > 1}
        if len(complete) > 1 and varied and len({trial.values[number] for trial in complete}) > 1:
            yield f"importance{end}", "plot_param_importances", named
            yield f"parallel_coordinates{end}", "plot_parallel_coordinate", named
        yield f"slices{end}", "plot_slice", named
    if 1 < len(objectives) <= 3:
        yield "pareto_front", "plot_pareto_front", {"target_names": [name for name, _ in objectives]}
    if any(trial.intermediate_values for trial in trials):
        yield "epochs", "plot_intermediate_values", {}


def _value(number: int) -> Callable[[optuna.trial.FrozenTrial], float]:
    return lambda trial: trial.values[number]


def write_page(study: SweepStudy, rows: list[Row]) -> Path:
    """Write the page.

    Returns:
        Its path.

    Raises:
        OSError: If it cannot be written.
    """
    parts: list[str] = []
    with _calm():
        for _, function, options in _plots(study):
            figure = getattr(optuna.visualization, function)(study.study, **options)
            parts.append(figure.to_html(full_html=False, include_plotlyjs="inline" if not parts else False))
    name = html.escape(study.plan.name)
    head, *lines = cells(sorted_rows(rows, study.plan), study.plan)
    table = _html_row(head, "th") + "".join(_html_row(line, "td") for line in lines)
    path = study.plan.folder / PAGE
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{name}</h1>\n{''.join(parts)}\n<h2>Trials, the best first</h2><table>{table}</table></body>"
        "</html>\n",
    )
    return path


def _html_row(line: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in line) + "</tr>\n"


def write_pictures(study: SweepStudy) -> list[Path]:
    """Write a PNG of each plot; return their paths.

    Raises:
        OSError: If one cannot be written.
    """
    made: list[Path] = []
    with _calm(), mpl.rc_context():
        from matplotlib import pyplot

        for name, function, options in _plots(study):
            axes: Any = getattr(optuna.visualization.matplotlib, function)(study.study, **options)
            figure: Figure = np.ravel(axes)[0].figure
            figure.set_size_inches(10, 5)  # tick labels of one axis lie on the next one otherwise
            path = study.plan.folder / f"{name}.png"
            with replacing(path) as part:
                figure.savefig(part, format="png", dpi=100, bbox_inches="tight")
            pyplot.close(figure)
            made.append(path)
    return made


@contextmanager
def _calm() -> Iterator[None]:
    """Leave out what Optuna says of experimental functions, and of trials without a value."""
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)

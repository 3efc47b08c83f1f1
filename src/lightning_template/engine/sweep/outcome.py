"""Files that a study leaves: the best configuration, a table, a page and pictures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_template.engine.runs.files import write_text
from lightning_template.engine.sweep.pages import PAGE, write_page, write_pictures
from lightning_template.engine.sweep.results import Row, as_csv, rows_of, sorted_rows
from lightning_template.engine.sweep.study import SweepStudy

BEST, TABLE = "best.yaml", "trials.csv"


def point_of(study: SweepStudy, row: Row) -> dict[str, Any]:
    """Return the values of a trial's options."""
    known = {parameter.name: parameter for parameter in study.plan.space}
    return {name: known[name].value_of(label) for name, label in row.params.items()}


def best_row(study: SweepStudy, rows: list[Row]) -> Row | None:
    """Return the best trial; of several objectives the best by the first one."""
    found = [row for row in sorted_rows(rows, study.plan) if row.is_best]
    return found[0] if found else None


def write_outcome(study: SweepStudy, config: Callable[[Mapping[str, Any]], str]) -> dict[str, Path]:
    """Write it, unless it lies there already.

    Args:
        study: A study that has ended.
        config: Returns the text of a configuration with the values of a point.

    Returns:
        Paths of the files by what they are.

    Raises:
        OSError: If a file cannot be written.
    """
    folder = study.plan.folder
    rows = rows_of(study)
    best = best_row(study, rows)
    table = as_csv(rows, study.plan)
    paths = {"table": folder / TABLE, "plots": folder / PAGE} | ({"best": folder / BEST} if best else {})
    with study.locked():
        is_done = all(path.is_file() for path in paths.values())
        if is_done and paths["table"].read_text("utf-8") == table:
            return paths
        if best is not None:
            write_text(paths["best"], _header(study, best) + config(point_of(study, best)))
        write_pictures(study)
        write_page(study, rows)
        write_text(paths["table"], table)
    return paths


def _header(study: SweepStudy, best: Row) -> str:
    values = zip(study.plan.objectives, best.values, strict=True)
    reached = ", ".join(f"{objective.name} {value:.6g}" for objective, value in values)
    runs = " ".join(best.runs)
    return f"# Trial {best.number} of the study {study.plan.name}: {reached} ({runs}).\n"

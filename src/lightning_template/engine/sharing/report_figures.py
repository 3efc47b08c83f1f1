"""Figures and tables of what a run predicts, for its report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_template.engine.dashboard import pictures, plots
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.sharing import page as html
from lightning_template.engine.sharing.report_records import Records, plain
from lightning_template.engine.sharing.validation import Validation, validate
from lightning_template.load import load_run

NUM_PAIRS = 10
"""Number of confused pairs that are listed."""
SHORT = 30
"""Number of letters of a name beyond which a figure leaves out its middle."""


@dataclass
class Shown:
    """What a report shows of a run's predictions.

    Attributes:
        source: Whose predictions they are, in words.
        figures: Images, by title.
        tables: Tables, by title.
        problem: Why a part is missing; nothing if none is.
    """

    source: str
    figures: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def figures_of(path: Path, records: Records) -> Shown:
    """Return what the best weights predict on the validation set; what TensorBoard has where that cannot be predicted.

    Args:
        path: Run directory.
        records: What it left for TensorBoard.
    """
    try:
        run = load_run(path)
        found = validate(run)
        shown = Shown("what the best weights predict on the validation set")
        draw = _of_classes if found.is_classification else _of_others
        draw(shown, found, run.task)
    except Exception as error:  # of files that are gone, and of anybody's code: the page has its other parts
        problem = f"no predictions of the best weights: {one_line(error)}"
        stored = {title: html.encoded(image, title) for title, image in records.figures.items()}
        source = f"figures of the dashboard, of step {records.step}" if stored else "none"
        return Shown(f"{problem}; {source}", stored, problem=problem)
    return shown


def _of_classes(shown: Shown, found: Validation, task: Any) -> None:
    predictions, targets = found.predictions, found.targets
    assert predictions is not None
    assert targets is not None
    names, short = found.names, [_short(name) for name in found.names]
    rates = plots.confusion_rates(predictions, targets)
    _draw(shown, "confusion matrix", lambda: plots.confusion_matrix(rates, short))
    _draw(shown, "accuracy of each class", lambda: plots.class_accuracy(rates, short))
    _draw(shown, "calibration", lambda: plots.calibration(predictions, targets))
    if found.worst and found.images is not None:
        images, worst = found.images, torch.tensor(found.worst)
        _draw(shown, "worst mistakes", lambda: pictures.images(images, predictions[worst], targets[worst], short))
    shown.tables["most confused pairs"] = _pairs(predictions, targets, names)
    rows = []
    for place in found.worst:
        true, taken = int(targets[place]), int(predictions[place].argmax())
        chances = float(predictions[place, true]), float(predictions[place, taken])
        rows.append([found.sources[place], names[true], names[taken], *chances])
    head = ["sample", "true", "predicted", "probability of the true class", "of the predicted one"]
    shown.tables["list of the worst mistakes"] = html.table(head, rows) if rows else html.note("There are no mistakes.")


def _pairs(predictions: Tensor, targets: Tensor, names: Sequence[str]) -> str:
    """Return a table of the classes that are most often taken for others."""
    number = predictions.shape[1]
    counts = torch.bincount(targets * number + predictions.argmax(dim=1), minlength=number**2).view(number, number)
    totals = counts.sum(1)
    wrong = counts - counts.diag().diag()
    order = wrong.flatten().argsort(descending=True, stable=True)[:NUM_PAIRS].tolist()
    pairs = [(place // number, place % number) for place in order]
    rows = [
        [names[true], names[taken], int(wrong[true, taken]), float(wrong[true, taken] / totals[true])]
        for true, taken in pairs
        if wrong[true, taken]
    ]
    return html.table(["true", "taken for", "times", "share of the true class"], rows) if rows else html.note("None.")


def _of_others(shown: Shown, found: Validation, task: Any) -> None:
    inputs, predictions, targets = found.first
    if found.predictions is not None and found.targets is not None:
        _draw(shown, "regression", lambda: plots.regression(inputs, predictions, targets, {}))
        pairs = [
            (found.sources[place], float(found.targets[place]), float(found.predictions[place]))
            for place in found.worst
        ]
        rows = [[*pair, abs(pair[1] - pair[2])] for pair in pairs]
        shown.tables["list of the worst mistakes"] = html.table(["sample", "true", "predicted", "difference"], rows)
    if hasattr(task, "figures"):
        with torch.no_grad():
            made = task.figures(inputs, predictions, targets)
        for title, figure in made.items():
            if hasattr(figure, "savefig"):
                _draw(shown, title, lambda figure=figure: figure)  # type: ignore[misc]


def _draw(shown: Shown, title: str, figure: Callable[[], Any]) -> None:
    """Add a figure, unless it cannot be drawn."""
    try:
        shown.figures[title] = html.drawn(figure(), title)
    except Exception as error:  # of matplotlib, for names that it cannot draw
        shown.problem = f"no {title}: {one_line(error)}"


def _short(name: str) -> str:
    return plain(name if len(name) <= SHORT else f"{name[: SHORT // 2]}...{name[-SHORT // 2 :]}")

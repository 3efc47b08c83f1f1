"""Curves and figures that a run left for TensorBoard."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_template.engine.drawing import figure_of_axes
from lightning_template.engine.runs.names import pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 500
"""Largest number of points of a curve that is drawn."""
OF_MACHINE = ("best/", "memory/", "speed/", "hp_metric", "epoch")
"""Beginnings of the names that are no curves of learning."""
Curves = dict[str, list[tuple[int, float]]]


class Records:
    """What lies in the event files of a run.

    Args:
        run: Run directory.
    """

    def __init__(self, run: Path) -> None:
        self.curves: Curves = {}
        """Steps and values of each scalar, by name."""
        self.figures: dict[str, bytes] = {}
        """The last PNG of each figure, by title."""
        self.step = 0
        """Step of the last figure."""
        if any(run.glob("events.out.tfevents.*")):
            self._read(run)

    def _read(self, run: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        sizes = {"scalars": 0, "images": 1, "tensors": 1, "histograms": 1, "compressedHistograms": 1}  # 0: all
        events: EventAccumulator = EventAccumulator(str(run), size_guidance=sizes)
        events.Reload()
        for name in events.Tags()["scalars"]:
            self.curves[name] = [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["images"]:
            last = events.Images(name)[-1]
            self.figures[name] = last.encoded_image_string
            self.step = max(self.step, last.step)


def charts(runs: Mapping[str, Curves]) -> "Iterator[tuple[str, Figure]]":
    """Yield a chart of each quantity of learning: a colour for each run, training dashed and validation solid.

    Args:
        runs: Curves of each run, by its name.
    """
    names = dict.fromkeys(name for curves in runs.values() for name in curves if not name.startswith(OF_MACHINE))
    for title, by_stage in pairs(names).items():
        tags = {tag: stage for stage, found in by_stage.items() for tag in found}
        shown = {tag for tag in tags if any(len(curves.get(tag, ())) > 1 for curves in runs.values())}
        if shown:
            yield title, _chart(title, runs, {tag: stage for tag, stage in tags.items() if tag in shown})


def _chart(title: str, runs: Mapping[str, Curves], tags: Mapping[str, str | None]) -> "Figure":
    figure, (axes,) = figure_of_axes(6.2, 3.6, left=0.8, bottom=0.6)
    for number, (run, curves) in enumerate(runs.items()):
        for tag, stage in tags.items():
            points = _thinned(curves.get(tag, []))
            if points:
                line = "--" if stage == "train" else "-"
                marker = "." if len(points) == 1 else ""
                label = " ".join(part for part in (run if len(runs) > 1 else "", stage or tag) if part)
                axes.plot(*zip(*points, strict=True), line, marker=marker, color=f"C{number % 10}", label=plain(label))
    axes.set(xlabel="step", title=plain(title))
    axes.grid(alpha=0.3)
    if len(axes.lines) > 1:
        axes.legend(fontsize=8)
    return figure


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    stride = -(-len(points) // MAX_POINTS)
    return [*points[:: max(1, stride)], points[-1]] if points else points


def plain(name: str) -> str:
    """Return a name in which matplotlib sees no formula, on one line."""
    return re.sub(r"\s+", " ", name).replace("$", r"\$")

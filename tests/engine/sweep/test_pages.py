"""The page of a study and its pictures."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_study import MadeUp, plan_of, work

from lightning_template.engine.sweep.outcome import write_outcome
from lightning_template.engine.sweep.plan import Objective

ONE = {"history", "importance", "parallel_coordinates", "slices"}
TWO = {f"{name}_{number}" for name in ONE for number in (0, 1)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pruner": "median:n_startup_trials=2"}, {*ONE, "epochs"}),
        ({"objectives": (Objective("<script>", "min"), Objective("b", "max"))}, {*TWO, "pareto_front"}),
        ({"space": ["x=1"], "sampler": "grid", "num_trials": 1}, {"history", "slices"}),
    ],
)
def test_the_page_needs_no_network_and_escapes_names(workspace: Path, options: Any, expected: set[str]) -> None:
    space = options.pop("space", ["x=0.1..1:log", "kind=<b>,[1]"])
    plan = plan_of(workspace, *space, **{"num_trials": 8, **options})
    values = (lambda x: (x, -x)) if len(plan.objectives) > 1 else (lambda x: x)
    study = work(plan, MadeUp(workspace, lambda point, seed, epoch: values(point["x"] + 1 / (epoch + 1)), 3))
    paths = write_outcome(study, lambda point: "model: 1\n")
    page = paths["plots"].read_text("utf-8")
    assert 'src="http' not in page
    assert page.count("plotly-graph-div") >= len(expected)
    assert "<th>&lt;script&gt; (min)</th>" in page or len(plan.objectives) == 1
    assert "<td><b></td>" not in page
    pictures = {path.stem: Image.open(path) for path in plan.folder.glob("*.png")}
    assert pictures.keys() == expected
    for picture in pictures.values():
        colours = picture.convert("L").getextrema()
        assert colours[0] != colours[1]
        picture.close()


@pytest.mark.slow
def test_a_study_without_a_finished_trial_has_a_table_alone(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "x=1..2", num_trials=2, sampler="grid")
    study = work(plan, MadeUp(tmp_path, lambda point, seed, epoch: float("nan")))
    paths = write_outcome(study, lambda point: "")
    assert paths.keys() == {"table", "plots"}
    assert "was never a number" in paths["plots"].read_text("utf-8")

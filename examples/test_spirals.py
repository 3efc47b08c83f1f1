"""The notebook runs from its first cell to its last, and stores nothing of the machine it ran on."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

NOTEBOOK = Path(__file__).with_name("spirals.ipynb")
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]


def num_colors(figure: Figure) -> int:
    file = BytesIO()
    figure.savefig(file)
    with Image.open(file) as picture:
        return len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more are slower for tensors this small, and much slower beside other tests
    namespace: dict[str, Any] = {}
    colors = []
    try:
        for cell in CELLS:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), namespace)
                colors += [num_colors(plt.figure(number)) for number in plt.get_fignums()]
                plt.close("all")  # as a notebook does after each cell
    finally:
        plt.close("all")
        torch.set_num_threads(threads)
    assert len(colors) == 4
    assert min(colors) > 20  # none is blank
    assert namespace["is_right"].mean() > 0.9
    assert [path.name for path in sorted(Path().iterdir())] == ["lightning_logs", "spirals.csv"]


def test_nothing_of_a_machine_is_stored() -> None:
    assert [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert not any("/home" in line or "/tmp" in line for cell in CELLS for line in cell["source"])

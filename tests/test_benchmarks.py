"""The benchmarks run, and what they time is the same work: equal weights. Times are never asserted."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT

SPEED = (ROOT / "docs" / "speed.md").read_text()
COMMANDS = re.findall(r"^\./scripts/run python scripts/(benchmark_\w+)\.py(.*)$", SPEED, flags=re.MULTILINE)


def run(
    name: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Any, str]:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    module = import_module(name)
    monkeypatch.setattr(sys, "argv", [name, *options])
    module.main()
    return module, capsys.readouterr().out


def test_the_page_names_every_benchmark() -> None:
    assert {name for name, _ in COMMANDS} == {path.stem for path in (ROOT / "scripts").glob("benchmark_*.py")}


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:The number of training batches:lightning.fabric.utilities.warnings.PossibleUserWarning"
)
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_training_ends_with_equal_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fashion_mnist: Path, workspace: Path
) -> None:
    ((_, options_of_page),) = (command for command in COMMANDS if command[0] == "benchmark_training")
    options = [
        *options_of_page.replace("--recipe", "--recipe cnn").split(),
        "--rounds=2",
        f"--data_dir={fashion_mnist}",
    ]
    options[options.index("--plot") + 1] = str(workspace / "plot.png")
    _, out = run("benchmark_training", options, monkeypatch, capsys)
    assert (workspace / "plot.png").stat().st_size > 10_000
    recipes = out.split("largest difference of a weight from the bare loop's:\n")[1:]
    assert len(recipes) == 3
    for lines in recipes:
        differences = dict(re.findall(r"^(\w.*?)  +(\d+e[+-]\d+)$", lines, flags=re.MULTILINE))
        assert {"template", "template, 1 step per execution"} <= differences.keys()
        for contender, difference in differences.items():
            if not contender.startswith("usual") or lines is recipes[1]:  # it shuffles with torch's own order
                assert float(difference) <= 1e-6, contender


@pytest.mark.slow
def test_evaluation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fashion_mnist: Path, workspace: Path
) -> None:
    _, out = run("benchmark_evaluation", ["--rounds=1", f"--data_dir={fashion_mnist}"], monkeypatch, capsys)
    assert len(re.findall(r"^template .* s +\d+\.\d+$", out, flags=re.MULTILINE)) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fashion_mnist: Path, workspace: Path
) -> None:
    _, out = run("benchmark_figures", ["--max_epochs=1", f"--data_dir={fashion_mnist}"], monkeypatch, capsys)
    drawing, training = map(float, re.findall(r"drawing ([\d.]+) s of ([\d.]+) s", out)[0])
    assert 0 < drawing < training


@pytest.mark.slow
@pytest.mark.timeout(600)  # imports take long where nothing is cached
@pytest.mark.parametrize("name", ["benchmark_startup", "benchmark_memory"])
def test_processes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_fashion_mnist: Path
) -> None:
    if name == "benchmark_memory":
        monkeypatch.syspath_prepend(ROOT / "scripts")
        memory = import_module(name)
        assert memory.growth(1, points=2000)["seconds"] > 0
        return
    _, out = run(name, ["--rounds=1"], monkeypatch, capsys)
    assert len(re.findall(r" s +\d+\.\d+$", out, flags=re.MULTILINE)) == 4

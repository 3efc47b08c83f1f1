"""The table of records is that of its results, and the script that makes both repeats nothing."""

import json
import statistics
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn import functional

from conftest import ROOT
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.networks import MLP


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return import_module("reproduce")


def test_the_page_has_the_table_of_its_results(reproduce: Any) -> None:
    results = json.loads(reproduce.PAGE.with_suffix(".json").read_text())
    assert reproduce.table(results) in reproduce.PAGE.read_text()
    assert {result["name"] for result in results} <= {reproduce.TUTORIAL, *reproduce.AIMS}
    for name, aim in reproduce.AIMS.items():
        mine = [result for result in results if result["name"] == name]
        assert len({result["seed"] for result in mine}) == len(mine) >= 3 * (aim.share is not None), name
        row = next(line for line in reproduce.PAGE.read_text().splitlines() if f"| `{name}` |" in line)
        assert ("not yet measured" in row) == (not mine)


def test_each_recipe_is_short_and_trains_on_all_images(reproduce: Any) -> None:
    files = sorted((ROOT / "configs" / "records").glob("*.yaml"))
    assert [f"records/{file.name}" for file in files] == sorted(reproduce.AIMS)
    for file in files:
        content = yaml.safe_load(file.read_text())
        assert content["experiment"] == f"records_{file.stem}"
        assert content["data"]["init_args"]["val_fraction"] == 0  # so nothing is chosen by a look at the test set
        assert len(file.read_text().splitlines()) <= 60


def result(name: str, seed: int, accuracy: float, seconds: float) -> dict[str, Any]:
    return {"name": name, "seed": seed, "accuracy": accuracy, "seconds": seconds, "date": "2026-01-02", "machine": "M"}


def test_a_row_has_mean_spread_and_the_median_of_ratios_within_a_round(reproduce: Any) -> None:
    name = "records/fashion_mnist_90.yaml"
    seconds, bases, scores = [2.0, 9.0, 4.0], [40.0, 30.0, 20.0], [90.0, 91.0, 93.5]
    results = [result(name, seed, scores[seed], seconds[seed]) for seed in range(3)]
    assert reproduce.summary(results, name)["ratio"] is None
    results += [result(reproduce.TUTORIAL, seed, 70.0, bases[seed]) for seed in range(3)]
    found = reproduce.summary(results, name)
    assert found["ratio"] == statistics.median([2 / 40, 9 / 30, 4 / 20])
    assert (found["accuracy"], found["spread"]) == (statistics.mean(scores), statistics.stdev(scores))
    assert (found["seconds"], found["seeds"]) == (4.0, 3)
    assert "| 91.50 % ± 1.80 | 3 | 4.0 | 0.200 | 2026-01-02 |" in reproduce.table(results)
    assert reproduce.summary(results, "records/fashion_mnist_72.yaml") is None


def test_what_is_done_is_not_made_again(reproduce: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []

    def tutorial(_: Path | None, seed: int) -> dict[str, float]:
        made.append((reproduce.TUTORIAL, seed))
        return {"accuracy": 70.0, "seconds": 50.0}

    def train(config: str, root: Path, _: Path | None, seed: int) -> Path:
        made.append((config, seed))
        run = root / f"{seed}"
        run.mkdir(parents=True, exist_ok=True)
        reproduce.runs.update_json(run / "metrics.json", {"test": {"test/accuracy": 0.9 + seed / 100}})
        reproduce.runs.update_json(run / "state.json", {"seconds": 5.0})
        if seed == stops_at:
            raise KeyboardInterrupt
        return run

    monkeypatch.setattr(reproduce, "train_tutorial", tutorial)
    monkeypatch.setattr(reproduce, "train", train)
    page = workspace / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end -->\nafter\n")
    name = "records/fashion_mnist_90.yaml"
    files = ["--results", str(workspace / "results.json"), "--page", str(page), "--root", str(workspace / "runs")]
    monkeypatch.setattr(sys, "argv", ["reproduce", name, "--seeds", "2", *files])
    stops_at = 1
    with pytest.raises(KeyboardInterrupt):
        reproduce.main()
    assert "old" in page.read_text()
    stops_at = -1
    assert reproduce.main() == 0
    assert made == [(reproduce.TUTORIAL, 0), (name, 0), (reproduce.TUTORIAL, 1), (name, 1), (name, 1)]
    text = page.read_text()
    assert text.startswith("before\n<!-- table -->\n| config |")
    assert text.endswith("\n<!-- end -->\nafter\n")
    assert "| 90.50 % ± 0.71 | 2 | 5.0 | 0.100 |" in text
    assert page.with_suffix(".png").stat().st_size > 10_000


def test_a_recipe_that_is_not_in_the_table_is_refused(
    reproduce: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce", "records/none.yaml"])
    with pytest.raises(SystemExit) as ended:
        reproduce.main()
    assert ended.value.code == 2
    assert "no such recipe in the table: records/none.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [0, 1])
def test_the_tutorials_loop_is_gradient_descent_in_the_order_of_the_files(
    seed: int, reproduce: Any, fashion_mnist: Path
) -> None:
    (images, labels), (test_images, test_labels) = FashionMNISTDataModule(str(fashion_mnist)).load()
    torch.manual_seed(seed)
    network = MLP(784, [512, 512], 10)
    for _ in range(20):
        for x, y in zip(torch.split(images, 64), torch.split(labels, 64), strict=True):
            loss = functional.cross_entropy(network(x / 255), y)
            for weight, gradient in zip(
                network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True
            ):
                weight.data.sub_(gradient, alpha=1e-3)
    right = (network(test_images / 255).argmax(1) == test_labels).float().mean().item()
    found = reproduce.train_tutorial(fashion_mnist, seed, epochs=20)
    assert found["accuracy"] == pytest.approx(100 * right)

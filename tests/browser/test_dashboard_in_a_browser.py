"""What a person sees who opens TensorBoard on runs: every tab has content, and nothing fails."""

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page

from conftest import ROOT, Command

CNN, LINE = "fashion_mnist_cnn/version_0", "line_adam/version_0"
NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
EMPTY = re.compile("no dashboards are active|no .{0,40}data.{0,40} found|an error occurred", re.IGNORECASE)


def train(command: Command, data_dir: Path) -> None:
    options = ["--trainer.max_epochs=2", "--trainer.log_every_n_steps=2", "--data.batch_size=16"]
    options += ["--data.val_fraction=0.5", "--callbacks.figures.every_n_epochs=1"]
    cnn = [f"--data.data_dir={data_dir}", "--callbacks.figures.num_projected=10", "--test_after_fit"]
    assert command("fit", f"--config={ROOT / 'configs/fashion_mnist/cnn.yaml'}", *options, *cnn).status == 0
    assert command("fit", f"--config={ROOT / 'configs/line/adam.yaml'}", *options).status == 0


def num_lines(chart: Locator) -> int:
    lengths: list[float] = chart.locator("path.line").evaluate_all("paths => paths.map(path => path.getTotalLength())")
    return sum(length > 0 for length in lengths)


def charts(kind: str) -> Callable[[Page], dict[str, int]]:
    """Return a measure: how many lines are drawn in each chart."""

    def measure(page: Page) -> dict[str, int]:
        return {card.evaluate("card => card.tag || card.title"): num_lines(card) for card in page.locator(kind).all()}

    return measure


def is_drawn(chart: Locator) -> bool:
    """Tell whether a canvas has lines: all but them is grey."""
    if not chart.is_visible():
        return False
    pixels = np.asarray(Image.open(io.BytesIO(chart.screenshot())).convert("RGB")).astype(int)
    return int((np.ptp(pixels, axis=2) > 30).sum()) > 50


def time_series(page: Page) -> dict[str | None, bool]:
    tags = page.locator("metrics-tag-filter-component input")
    if not tags.input_value():
        tags.fill("^(train|val)/loss$")
    cards = page.locator("scalar-card").all()
    names = [card.locator("tb-truncated-path").get_attribute("title") for card in cards]
    return {name: is_drawn(card.locator("line-chart")) for name, card in zip(names, cards, strict=True)}


def images(page: Page) -> dict[str, bool]:
    script = "images => images.every(image => image.complete && image.naturalWidth > 100) && images.length > 0"
    loaders = page.locator("tf-image-loader").all()
    return {loader.evaluate("e => e.tag"): loader.locator("img").evaluate_all(script) for loader in loaders}


def texts(page: Page) -> dict[str, bool]:
    words = {"command": "fit", "config": "seed_everything", "environment": "python:", "overrides": "max_epochs: 2"}
    loaders = page.locator("tf-text-loader").all()
    tags = [loader.evaluate("e => e.tag").removesuffix("/text_summary") for loader in loaders]
    return {tag: loader.get_by_text(words[tag]).first.is_visible() for tag, loader in zip(tags, loaders, strict=True)}


def graph(page: Page) -> dict[str, bool]:
    names = page.locator("g.node").evaluate_all("nodes => nodes.map(node => node.getAttribute('data-name'))")
    return dict.fromkeys(names, True)


def projector(page: Page) -> dict[str, bool]:
    return {text: True for frame in page.frames for text in frame.locator(".numDataPoints").all_inner_texts()}


MEASURES: dict[str, tuple[Callable[[Page], dict[Any, Any]], dict[Any, Any]]] = {
    "timeseries": (time_series, {"train/loss": True, "val/loss": True}),
    "scalars&_smoothingWeight=0&tagFilter=^(val/loss|optimizer/lr|best/val/loss)$": (
        charts("tf-scalar-card"),
        {"best/val/loss": 2, "val/loss": 2, "optimizer/lr": 2},
    ),
    "custom_scalars&_smoothingWeight=0": (
        charts("tf-custom-scalar-multi-line-chart-card"),
        {"loss": 4, "accuracy": 2, "f1": 2, "precision": 2, "recall": 2, "mae": 2, "mse": 2, "r2": 2}
        | {"learning rate": 2, "gradient norm": 2, "samples a second": 2, "memory, MB": 2},
    ),
    "images&tagFilter=.": (
        images,
        {f"classes/{name}": True for name in ("accuracy", "calibration", "confusion matrix")}
        | {"first layer": True, "images/samples": True, "images/worst mistakes": True, "regression": True},
    ),
    "pr_curves&tagFilter=.": (charts("tf-pr-curve-card"), {f"precision and recall/{name}": 1 for name in NAMES}),
    "text&tagFilter=.": (texts, dict.fromkeys(("command", "config", "environment", "overrides"), True)),
    "graphs": (graph, dict.fromkeys(("ClassificationTask", "input", "output"), True)),
    "projector": (projector, {"10": True}),
}


def table(page: Page, run: str) -> dict[str, str]:
    """Return what the row of a run in the table of HPARAMS has in each column, by place: cells come in any order."""
    script = "cells => cells.map(cell => [cell.innerText.trim(), cell.getBoundingClientRect()])"
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content").evaluate_all(script)
    found = [(text, box["x"], box["y"] + box["height"] / 2) for text, box in cells if text]
    tops = {text: y for text, x, y in found}

    def row(name: str) -> dict[float, str]:
        return {x: text for text, x, y in found if name in tops and abs(y - tops[name]) < 10}

    return {name: row(run).get(x, "") for x, name in row("Trial ID").items()}


def eventually(measure: Callable[[], dict[Any, Any]], expected: dict[Any, Any]) -> None:
    """Compare as soon as TensorBoard has drawn everything, or when it has had time to."""
    deadline = time.monotonic() + 30
    while not (found := measure()).items() >= expected.items() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.slow
@pytest.mark.timeout(600)  # a browser on a busy machine takes its time
def test_every_tab_has_content(
    command: Command,
    fashion_mnist: Path,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from browsing import browser, choose_columns, tab, tensorboard

    try:
        with browser():
            pass
    except RuntimeError as error:
        pytest.skip(str(error))
    train(command, fashion_mnist)
    logs = workspace / "lightning_logs"
    with browser() as chromium, tensorboard(logs) as address:
        for fragment, (measure, expected) in MEASURES.items():
            with subtests.test(fragment), tab(chromium, address, fragment, height=2500) as page:
                eventually(lambda measure=measure, page=page: measure(page), expected)  # type: ignore[misc]
                assert not page.get_by_text(EMPTY).filter(visible=True).all_inner_texts()
        with subtests.test("hparams"), tab(chromium, address, "hparams", height=2500) as page:
            cnn, line = (json.loads((logs / run / "metrics.json").read_text()) for run in (CNN, LINE))
            shown = ["model.network", "data.shuffle", "best/val/accuracy", "best/val/loss", "test/accuracy"]
            choose_columns(page, shown)
            eventually(lambda: table(page, CNN), {"model.network": "ConvNet", "data.shuffle": "true"})
            row = table(page, CNN)
            assert float(row["best/val/accuracy"]) == pytest.approx(cnn["best"]["best_score"], rel=1e-3)
            assert float(row["test/accuracy"]) == pytest.approx(cnn["test"]["test/accuracy"], rel=1e-3)
            row = table(page, LINE)
            assert float(row["best/val/loss"]) == pytest.approx(line["best"]["best_score"], rel=1e-3)
            assert row["best/val/accuracy"] == row["test/accuracy"] == ""
        with (
            subtests.test("a failed request is noticed"),
            pytest.raises(RuntimeError, match=r"404: .*/nothing"),
            tab(chromium, address, "scalars") as page,
        ):
            page.evaluate("fetch('data/nothing')")

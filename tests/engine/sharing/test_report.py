"""`lightning-template report`: a page that stands alone, with what a run recorded and predicts."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from conftest import ROOT, Command
from lightning_template import load_run

SHORT = ["--trainer.max_epochs=2", "--callbacks.progress_bar=null", "--trainer.enable_model_summary=false"]
SHORT += ["--trainer.accelerator=cpu", "--callbacks.figures=null", "--trainer.log_every_n_steps=1"]
HOSTILE = ("<script>alert('c')</script>", "$\\frac{a}", '"><img src=http://x.example/y>')
TABLE = {
    "model": {
        "class_path": "lightning_template.tasks.ClassificationTask",
        "init_args": {
            "network": {"class_path": "lightning_template.networks.MLP", "init_args": {"hidden_features": [4]}},
            "loss": "torch.nn.CrossEntropyLoss",
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
        },
    },
    "data": {
        "class_path": "lightning_template.datamodules.TableDataModule",
        "init_args": {"path": "t.csv", "targets": "kind", "val_fraction": 0.5},
    },
}


class Page(HTMLParser):
    """The tags, addresses, texts and tables of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.in_cell = tag in ("td", "th")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def read(path: str | Path) -> Page:
    """Read a page, which must need nothing from elsewhere."""
    page = Page(Path(path).read_text())
    assert page.tags.isdisjoint({"script", "iframe", "link", "object", "embed", "form", "base"})
    assert all(address.startswith("data:image/") for address in page.addresses)
    for address in page.addresses:
        kind, content = address.removeprefix("data:image/").split(";base64,")
        if kind == "png":
            Image.open(io.BytesIO(base64.b64decode(content))).verify()
        else:
            svg = base64.b64decode(content).decode()
            assert "<script" not in svg
            assert not re.search(r'href="(?!#)', svg)
    return page


def write_table() -> None:
    rows = [f"{number % 7},{number % 5},{HOSTILE[number % 3]!r}" for number in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    Path("table.yaml").write_text(yaml.safe_dump(TABLE))


@pytest.mark.slow
def test_a_page_of_two_runs_has_names_escaped_and_what_the_run_predicts(command: Command) -> None:
    write_table()
    for lr in ("0.1", "0.5"):
        arguments = ["fit", "--config=table.yaml", "--experiment=<i>x", *SHORT, f"--model.optimizer.lr={lr}"]
        assert command(*arguments).status == 0
    result = command("report", "<i>x/version_0", "<i>x/version_1", "--output=page.html")
    assert (result.status, result.err) == (0, "")
    page = read("page.html")
    assert "i" not in page.tags
    results, *_ = page.tables
    assert results[0] == ["", "<i>x/version_0", "<i>x/version_1"]
    (differing,) = [table for table in page.tables if ["model.optimizer.lr", "0.1", "0.5"] in table]
    assert len(differing) == 2
    run = load_run("lightning_logs/<i>x/version_0")
    task: Any = run.task
    part = run.data.val_set
    with torch.no_grad():
        found = task.predict(task(part.transform(part.inputs[part.indices])))
    names, targets, taken = run.data.class_names, part.targets[part.indices], found.argmax(1)
    wrong = (taken != targets).nonzero().flatten().tolist()
    worst = min(wrong, key=lambda place: float(found[place, targets[place]]))
    pairs = {(names[targets[place]], names[taken[place]]) for place in wrong}
    confused, _, mistakes, _ = (
        table for table in page.tables if table[0][:2] in (["true", "taken for"], ["sample", "true"])
    )
    assert {(row[0], row[1]) for row in confused[1:]} == pairs
    assert sum(int(row[2]) for row in confused[1:]) == len(wrong)
    assert mistakes[1][:3] == [str(int(part.indices[worst])), names[targets[worst]], names[taken[worst]]]


def test_a_run_that_left_little_is_shown_all_the_same(command: Command) -> None:
    run = Path("lightning_logs/old/version_0")
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("seed_everything: 0\n")
    (run / "state.json").write_text(json.dumps({"state": "failed", "error": "<b>\x1b[31m"}))
    (run / "metrics.json").write_text("{")
    result = command("report", "old")
    assert result.status == 0
    assert "old/version_0: no predictions of the best weights: " in result.out
    assert "<b>\\x1b[31m" in [row[1] for row in read(run / "report.html").tables[0]]
    for arguments, message in (
        (["old", "nix"], "no run nix in"),
        (["old", "--output=page.txt"], "the name must end in .html"),
        (["old", "--output=no/page.html"], "cannot write no/page.html: no folder no"),
    ):
        result = command("report", *arguments)
        assert (result.status, result.err.count("\n")) == (2, 1)
        assert message in result.err


@pytest.mark.slow
@pytest.mark.parametrize("config", ["shapes/segmentation", "sequences/labelling", "shapes/multilabel", "line/adam"])
def test_each_kind_has_its_figures(config: str, command: Command) -> None:
    options = ["--data.val_fraction=0.5"] if config.startswith("line") else ["--data.num_samples=100"]
    path = ROOT / "configs" / f"{config}.yaml"
    assert command("fit", f"--config={path}", "--experiment=x", *SHORT, *options).status == 0
    result = command("report", "x")
    assert (result.status, result.out.count("\n")) == (0, 1)
    page = read("lightning_logs/x/version_0/report.html")
    assert len([address for address in page.addresses if address.startswith("data:image/png")]) >= 1


@pytest.mark.slow
def test_images_are_named_by_their_files(command: Command, tmp_path: Path) -> None:
    for number, name in enumerate((*HOSTILE[:1], "b")):
        folder = tmp_path / "images" / name.replace("/", "|")
        folder.mkdir(parents=True)
        for index in range(12):
            Image.effect_noise((20, 20), 30 + number).save(folder / f"<u>{index}.png")
    config = json.loads(json.dumps(TABLE))
    config["model"]["init_args"]["network"] = "lightning_template.networks.MLP"
    config["data"] = {
        "class_path": "lightning_template.datamodules.ImageFolderDataModule",
        "init_args": {"data_dir": "images", "image_size": 8, "val_fraction": 0.5},
    }
    Path("images.yaml").write_text(yaml.safe_dump(config))
    network = ["--model.network.hidden_features=[4]"]
    assert command("fit", "--config=images.yaml", "--experiment=x", *SHORT, *network).status == 0
    assert command("report", "x").status == 0
    page = read("lightning_logs/x/version_0/report.html")
    (mistakes,) = [table for table in page.tables if table[0][0] == "sample"]
    assert all(Path(row[0]).is_file() and Path(row[0]).parent.name == row[1] for row in mistakes[1:])
    assert len(mistakes) > 1


@pytest.mark.slow
def test_a_browser_shows_it_whole_and_asks_for_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from browsing import browser

    write_table()
    assert command("fit", "--config=table.yaml", "--experiment=x", *SHORT).status == 0
    assert command("report", "x", "--output=page.html").status == 0
    try:
        with browser() as chromium, chromium.new_page(viewport={"width": 1440, "height": 900}) as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: asked.append(message.text))
            page.on("dialog", lambda dialog: asked.append(dialog.message))
            page.goto((tmp_path / "page.html").as_uri())
            assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "page.html").as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") == 1440
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 100)")
            assert page.locator("h2").all_inner_texts()[:2] == ["Results", "Curves"]
            assert HOSTILE[0] in page.locator("body").inner_text()
    except RuntimeError as error:
        pytest.skip(str(error))

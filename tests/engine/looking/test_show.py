"""`show`: the numbers, shares and distributions in its picture, of data of every kind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from conftest import NUM_TRAIN, ROOT, Command
from lightning_template.engine.dashboard import data_panels
from lightning_template.engine.dashboard.data_panels import numbers, panels, picture
from lightning_template.engine.dashboard.data_samples import names_of
from lightning_template.engine.dashboard.data_summary import Split, Summary
from lightning_template.engine.drawing import text

FOREIGN = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader


class Graphs(LightningDataModule):
    def setup(self, stage):
        self.stage = stage

    def train_dataloader(self):
        samples = [{"nodes": torch.full((3,), float(i)), "name": f"graph {i}", "y": torch.tensor(i)} for i in range(6)]
        return DataLoader(samples, batch_size=3)

    def val_dataloader(self):
        raise OSError("the disk is gone")

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch | {"nodes": batch["nodes"] + 100}


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        raise AssertionError("no step is made")

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def drawn(summary: Summary, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Return what the panels of a summary give to the functions that draw shares and distributions."""
    calls: dict[str, list[Any]] = {"grouped_bars": [], "histograms": []}
    for name, taken in calls.items():
        monkeypatch.setattr(data_panels, name, lambda *args, taken=taken: taken.append(args))
    for _, draw in panels(summary):
        draw()
    return calls


def test_a_batch_after_augmentation_and_each_split(command: Command, fashion_mnist: Path) -> None:
    options = ["--data.data_dir", fashion_mnist, "--data.normalize=false", "--data.val_fraction=0.25"]
    augmented = ["--data.augmentations+=lightning_template.transforms.RandomErasing"]
    result = command(
        "show", "--config", ROOT / "configs/fashion_mnist/cnn.yaml", *options, *augmented, "--output=it.png"
    )
    assert result.status == 0, result.err
    cells = result.out.splitlines()[1].split()
    assert cells[:6] == ["inputs", f"({NUM_TRAIN * 3 // 4},", "1,", "28,", "28)", "float32"]
    assert [path.name for path in Path().iterdir() if path.name != "configs"] == ["it.png"]
    assert "samples: training 72, validation 24, test 32" in result.out
    assert np.asarray(Image.open("it.png")).std() > 20


def test_a_batch_of_anything_after_the_hooks_of_its_transfer(command: Command) -> None:
    Path("graphs.py").write_text(FOREIGN)
    result = command("show", "--model=graphs.Module", "--data=graphs.Graphs")
    assert result.status == 0, result.err
    lines = {line.split()[0]: line.split() for line in result.out.splitlines() if line.strip()}
    assert lines["batch['nodes']"][1:] == ["(3,", "3)", "float32", "100", "102", "101", "0.8165"]
    assert "samples: training 6" in result.out
    assert "validation: the disk is gone" in result.out
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == {"graphs.py", "show.png"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--output=it.jpg"], "--output must be a file that ends in .png, got it.jpg"),
        (["--output=no/it.png"], "cannot write no/it.png: there is no folder no"),
        (["--output"], "--output needs a value"),
        (["--ckpt_path=last"], "leave out --ckpt_path"),
        (["--data.num_sample=3"], "did you mean"),
    ],
)
def test_a_mistake_is_one_line_and_no_file(command: Command, args: list[str], message: str) -> None:
    result = command("show", "--config", ROOT / "configs/line/ols.yaml", *args)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_shares_of_classes_in_each_split(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"training": Split(4, torch.tensor([0, 0, 0, 2])), "test": Split(2, torch.tensor([1, 0]))}
    summary = Summary(None, torch.rand(4, 1, 5, 5), splits["training"].targets, splits, class_names=["a", "b"])
    ((rows, names, _),) = drawn(summary, monkeypatch)["grouped_bars"]
    assert rows == {"training": [0.75, 0, 0.25], "test": [0.5, 0.5, 0]}
    assert names == ["a", "b", "2"]


def test_shares_of_pixels_leave_out_those_that_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = torch.tensor([[[0, 1], [255, -100]], [[1, 1], [255, 255]]])
    summary = Summary(None, torch.rand(2, 1, 2, 2), masks, {"training": Split(2, masks)}, ignored=255)
    ((rows, _, _),) = drawn(summary, monkeypatch)["grouped_bars"]
    assert rows == {"training": [0.25, 0.75]}


def test_distributions_of_columns_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = torch.tensor([[1.0, torch.nan], [3.0, 2.0]]), torch.tensor([[0.5], [1.5]])
    summary = Summary(None, rows, targets, {"training": Split(2, targets)}, rows=rows, input_names=["width", "height"])
    (of_targets,), (of_columns,) = drawn(summary, monkeypatch)["histograms"]
    assert of_targets["target 0"]["training"].tolist() == [0.5, 1.5]
    assert {name: groups[""].tolist() for name, groups in of_columns.items()} == {"width": [1, 3], "height": [2]}


N = 3
KINDS: dict[str, tuple[Any, Any, str]] = {
    "colour images": (torch.rand(N, 3, 4, 4), torch.tensor([0, 1, 5]), "class"),
    "images of many channels": (torch.rand(N, 7, 4, 4), torch.rand(N), "numbers"),
    "masks": (torch.rand(N, 1, 4, 4), torch.randint(0, 3, (N, 4, 4)), "classes"),
    "masks of channels": (torch.rand(N, 1, 4, 4), torch.rand(N, 2, 4, 4), ""),
    "volumes": (torch.rand(N, 2, 5, 4, 4), torch.tensor([0, 1, 1]), "class"),
    "views": (torch.rand(N, 2, 3, 4, 4), torch.zeros(N, 3), "labels"),
    "images": (torch.rand(N, 1, 4, 4), torch.rand(N, 1, 4, 4), ""),
    "signals": (torch.rand(N, 2, 30), torch.rand(N, 9), "numbers"),
    "sequences of vectors": (torch.rand(N, 30, 8), torch.randint(0, 2, (N, 30)), "classes"),
    "tokens": (torch.randint(0, 9, (N, 6)), torch.randint(0, 2, (N, 6)), "classes"),
    "tokens of a class": (torch.randint(0, 9, (N, 6)), torch.tensor([[0], [1], [1]]), "class"),
    "a table": (torch.rand(N, 100), torch.tensor([[1.0, 0, 1]] * N), "labels"),
    "a table of what is not finite": (torch.full((N, 2), torch.inf), torch.full((N,), torch.nan), "numbers"),
    "complex": (torch.rand(N, 4, dtype=torch.complex64), torch.rand(N, dtype=torch.complex64), ""),
    "sparse": (torch.eye(N).to_sparse(), torch.tensor([0, 1, 1]), "class"),
    "bools": (torch.rand(N, 4) > 0.5, torch.tensor([True, False, True]), "class"),
    "nothing": ({"names": ["a", "b"]}, None, ""),
    "graphs": (SimpleNamespace(x=torch.rand(9, 2), edges=torch.zeros(2, 30, dtype=torch.long)), None, ""),
    "no samples": (torch.rand(0, 3), torch.rand(0), ""),
    "one number": (torch.tensor(1.0), torch.tensor(2.0), ""),
    "low precision": (torch.rand(N, 1, 4, 4).bfloat16(), torch.rand(N).half(), "numbers"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_every_kind(kind: str) -> None:
    inputs, targets, expected = KINDS[kind]
    split = Split(None, targets if isinstance(targets, Tensor) and targets.ndim else None)
    rows = inputs if isinstance(inputs, Tensor) and inputs.ndim == 2 and inputs.is_floating_point() else None
    names = ["$\\frac{", "\x1b[31m", "名前" * 40]
    summary = Summary((inputs, targets), inputs, targets, {"training": split}, rows, names)
    assert names_of(summary).kind == expected
    for heading, draw in panels(summary):
        assert heading != "left out" or kind == "sparse"
        draw()
    assert "\x1b" not in numbers(summary)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_every_kind_has_its_pixels(kind: str, recwarn: pytest.WarningsRecorder) -> None:
    inputs, targets, _ = KINDS[kind]
    names = ["$\\frac{", "\x1b[31m", "名前" * 40]
    pixels = picture(Summary((inputs, targets), inputs, targets, class_names=names))
    assert pixels.shape[2] == 3
    assert pixels.std() > 5
    assert not recwarn.list


def test_what_cannot_be_drawn_says_so_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no such shape")

    said: list[str] = []

    def write(lines: str) -> Any:
        said.append(lines)
        return text(lines)

    monkeypatch.setattr(data_panels, "grouped_bars", fail)
    monkeypatch.setattr(data_panels, "text", write)
    picture(Summary(None, torch.rand(2, 1, 4, 4), torch.tensor([0, 1])))
    assert said[-1] == "cannot be drawn: no such shape"

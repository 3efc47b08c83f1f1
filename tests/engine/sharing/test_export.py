"""`lightning-template export`: files that other programs load predict what the command `predict` does."""

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import ROOT, Command
from lightning_template import load_run
from lightning_template.engine.sharing import formats
from lightning_template.engine.sharing.card import card
from lightning_template.engine.sharing.samples import samples_of

SHORT = ["--trainer.max_epochs=1", "--callbacks.figures=null", "--callbacks.dashboard=null"]
SHORT += ["--callbacks.progress_bar=null", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
LINE = [f"--config={ROOT / 'configs/line/adam.yaml'}", "--experiment=line"]
SHAPES = ["--data.num_samples=200", "--experiment=kind"]
KINDS = {
    "autoencoder": ["shapes/autoencoder", *SHAPES],
    "multilabel": ["shapes/multilabel", *SHAPES],
    "pairs": ["shapes/pairs", *SHAPES],
    "segmentation": ["shapes/segmentation", *SHAPES],
    "sequences": ["sequences/labelling", *SHAPES],
    "regression": ["line/adam", "--experiment=kind"],
}
EXPORT = Path("lightning_logs/kind/version_0/export")


def onnx_session(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def fit(command: Command, config: str, *options: str | Path) -> None:
    result = command("fit", "--config", ROOT / "configs" / f"{config}.yaml", *SHORT, *options)
    assert result.status == 0, result.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_predicts_as_the_command_does(kind: str, command: Command) -> None:
    fit(command, *KINDS[kind])
    result = command("export", "kind")
    assert (result.status, result.err) == (0, ""), result
    assert {path.name for path in EXPORT.iterdir()} == {
        *("model.onnx", "model.pt2", "model.safetensors", "model.json", "README.md")
    }
    run = load_run(EXPORT.parent)
    table = run.predict().slice(0, 30).to_pydict()
    part = run.data.test_set
    stored = part.inputs[part.indices[:30]]
    stored = stored[:, 0].contiguous() if kind == "pairs" else stored
    session = onnx_session(EXPORT / "model.onnx")
    found = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"input": stored.numpy()}), strict=True)
    )
    (program,) = [torch.export.load(EXPORT / "model.pt2").module()]
    for one, other in zip(program(stored), found.values(), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=1e-3, atol=1e-5)
    if kind in ("segmentation", "sequences"):
        lengths = [len(text.split()) for text in table["prediction"]]
        texts = [
            " ".join(map(str, classes[:length]))
            for classes, length in zip(found["prediction"].argmax(1).reshape(30, -1), lengths, strict=True)
        ]
        assert texts == table["prediction"]
        return
    for name, values in found.items():
        columns = [table[key] for key in table if key == name or key.startswith(f"{name}_")]
        columns = [column for column in columns if not isinstance(column[0], str)]
        np.testing.assert_allclose(values.reshape(30, -1), np.array(columns).T, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_sequences_may_be_shorter_than_those_of_training(command: Command) -> None:
    fit(command, *KINDS["sequences"])
    assert command("export", "kind", "--format=onnx").status == 0
    session = onnx_session(EXPORT / "model.onnx")
    tokens = torch.randint(1, 50, (3, 17))
    task: Any = load_run(EXPORT.parent).task
    with torch.no_grad():
        expected = task.predict(task(tokens)).numpy()
    np.testing.assert_allclose(session.run(None, {"input": tokens.numpy()})[0], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_the_example_predicts_image_files_as_the_command_does(
    whole: bool, command: Command, fashion_mnist: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    photos = [tmp_path / f"{number}.{suffix}" for number, suffix in enumerate(["png", "jpg", "png", "webp"])]
    for number, path in enumerate(photos):
        shape = (50 + 31 * number, 90, 4 if number == 2 else 3)
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(path)
    if whole:
        fit(command, "fashion_mnist/mlp", "--experiment=kind", "--data.data_dir", fashion_mnist)
    else:
        for name, path in zip(("=a|b", "<b>"), photos, strict=False):
            (tmp_path / "folder" / name).mkdir(parents=True)
            for number in range(8):
                Image.open(path).rotate(number).save(tmp_path / "folder" / name / f"{number}.png")
        (tmp_path / "folder.yaml").write_text(
            "experiment: kind\nmodel:\n  class_path: lightning_template.tasks.ClassificationTask\n  init_args:\n"
            "    network: {class_path: lightning_template.networks.ConvNet, init_args: {channels: [8, 8]}}\n"
            "    loss: torch.nn.CrossEntropyLoss\n    optimizer: torch.optim.Adam\n"
            "data:\n  class_path: lightning_template.datamodules.ImageFolderDataModule\n"
            "  init_args: {data_dir: folder, image_size: [16, 20], batch_size: 4}\n"
        )
        assert command("fit", "--config=folder.yaml", *SHORT).status == 0
    assert command("export", "kind", "--output=out", "--format=onnx").status == 0
    assert command("predict", "--ckpt_path", EXPORT.parent, "--input", *photos, "--output=p.csv").status == 0
    rows = list(csv.DictReader(Path("p.csv").read_text().splitlines()))
    script = ROOT / "examples" / "predict_onnx.py"
    done = subprocess.run(
        [sys.executable, script, "out/model.onnx", *photos], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [row["file"] for row in rows]
    assert [line["class"] for line in lines] == [row["prediction_name"].removeprefix("'") for row in rows]
    expected = [[float(value) for key, value in row.items() if key.startswith("probability_of")] for row in rows]
    np.testing.assert_allclose([line["probabilities"] for line in lines], expected, rtol=1e-3, atol=1e-5)
    assert len(script.read_text().splitlines()) < 40


@pytest.mark.slow
def test_a_network_of_one_length_is_exported_for_that_length(command: Command) -> None:
    Path("own.py").write_text(
        "import torch\nfrom torch import nn\nfrom lightning_template import InMemoryDataModule\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.e, self.l, self.o = nn.Embedding(20, 8), nn.LSTM(8, 4, batch_first=True), nn.Linear(4, 2)\n"
        "    def forward(self, x):\n        return self.o(self.l(self.e(x))[0][:, -1])\n"
        "class Data(InMemoryDataModule):\n    num_classes = 2\n    def load(self):\n"
        "        return (torch.arange(660).view(60, 11) % 20, torch.arange(60) % 2), None\n"
    )
    Path("own.yaml").write_text(
        "experiment: kind\nmodel:\n  class_path: lightning_template.tasks.ClassificationTask\n  init_args:\n"
        "    {network: own.Net, loss: torch.nn.CrossEntropyLoss, optimizer: torch.optim.Adam}\ndata: own.Data\n"
    )
    assert command("fit", "--config=own.yaml", *SHORT).status == 0
    result = command("export", "kind", "--format=torch")
    assert (result.status, result.err) == (0, "")
    assert "| input | input | int64 | (batch, 11) |" in (EXPORT / "README.md").read_text()


FOREIGN = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

class Module(LightningModule):
    def __init__(self, noise: float = 0.0, fixed: bool = False):
        super().__init__()
        self.net, self.noise, self.fixed = torch.nn.Linear(3, 2), noise, fixed
    def forward(self, x):
        x = x.reshape(5, 3) if self.fixed else x
        return self.net(x) + self.noise * torch.rand(())
    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
    def predict_step(self, batch, batch_idx):
        x, y = batch
        return self(x).softmax(1)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Data(LightningDataModule):
    def train_dataloader(self):
        return DataLoader([(torch.arange(3.0) + i, i % 2) for i in range(5)], batch_size=5)
    predict_dataloader = train_dataloader
"""


def fit_foreign(command: Command, *options: str) -> None:
    Path("own.py").write_text(FOREIGN)
    Path("own.yaml").write_text("model: own.Module\ndata: own.Data\nexperiment: kind\n")
    result = command("fit", "--config=own.yaml", *SHORT, *options)
    assert result.status == 0, result.err


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.slow
def test_a_module_of_others_is_exported_as_its_predict_step_says(command: Command) -> None:
    fit_foreign(command)
    assert command("export", "kind").status == 0
    inputs = torch.rand(7, 3)
    expected = load_run(EXPORT.parent).task(inputs).softmax(1).detach().numpy()
    session = onnx_session(EXPORT / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"x": inputs.numpy()})[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.noise=1", "the task cannot be exported: two predictions of the same inputs differ"),
        ("--model.fixed=true", "no torch file, and so none at all: the task takes no batch of (4, 3)"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_no_file(option: str, message: str, command: Command) -> None:
    fit_foreign(command, option)
    result = command("export", "kind", "--format=torch")
    assert result.status == 2
    assert result.err.startswith(f"lightning-template: error: {message}"), result.err
    assert result.err.count("\n") == 1
    assert not EXPORT.exists()
    assert not list(EXPORT.parent.glob(".export*"))


def test_weights_are_the_run_s_and_a_mismatch_leaves_no_file(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    assert command("fit", *LINE, *SHORT).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(formats, "TOLERANCE", -1.0)
        result = command("export", "line", "--format=safetensors", "--output=out")
    assert (result.status, result.out) == (2, "")
    assert "no safetensors file, and so none at all: read again, its value differs from the task's" in result.err
    assert not Path("out").exists()
    result = command("export", "line", "--format=safetensors", "--output=out")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0].split("  ")[0] == "file"
    assert " MB " in result.out.splitlines()[0]
    weights = safetensors.load_file("out/model.safetensors")
    checkpoint = torch.load("lightning_logs/line/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert weights.keys() == checkpoint.keys()
    assert all(torch.equal(weights[name], value) for name, value in checkpoint.items())
    described = json.loads(Path("out/model.json").read_text())
    assert described["outputs"] == [{"name": "value", "dtype": "float32", "shape": ["batch", 1]}]
    assert "RegressionTask" in described["configuration"]
    Path("file").touch()
    assert "cannot write into file: a file is there" in command("export", "line", "--output=file").err


@pytest.mark.slow
def test_throughput_is_measured(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")  # before a command changes the path
    fit(command, *KINDS["regression"])
    module = importlib.import_module("benchmark_export")
    monkeypatch.setattr(sys, "argv", ["benchmark_export", str(EXPORT.parent), "--rounds=1", "--seconds=0.01"])
    assert module.main() == 0
    rows = [line.split("|") for line in capfd.readouterr().out.splitlines() if line.startswith("| kind")]
    assert [row[2].strip() for row in rows] == ["1", "64"]
    assert all(float(cell.replace(",", "")) > 0 for row in rows for cell in row[3:6])


def test_a_package_that_is_missing_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "lightning_template.engine.sharing.export.find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    result = command("export", "line")
    assert result.status == 2
    assert "`export` needs onnxruntime: pip install 'lightning-template[export]'" in result.err


def test_a_card_escapes_names() -> None:
    names = ["<script>alert(1)</script>", "a|b\n# title", "```"]
    entries = [{"name": name, "dtype": "float32", "shape": ["batch", 2]} for name in names]
    metadata = {
        **{"run": "a_b/version_0", "checkpoint": "best.ckpt", "task": "T", "network": "N", "data": None},
        **{"inputs": entries, "outputs": entries, "classes": names, "columns": [], "categories": {}, "image": {}},
        **{"metrics": {"test": {"test/a|b": 0.5}}, "environment": {}, "configuration": "x: ```y\n"},
    }
    text = card(metadata, ["model.onnx"], "samples")
    assert "<script>" not in text.split("```")[0]
    assert "\n# title" not in text
    assert "| test/a\\|b | 0.5 |" in text
    assert "````yaml\nx: ```y\n````" in text


class Unread:
    """A run whose files of data are not here; it has a reader of images or of none."""

    unread_data = SimpleNamespace(transform=torch.neg)

    def __init__(self, **reader: Any) -> None:
        self.reader = SimpleNamespace(**reader)

    @property
    def data(self) -> Any:
        raise FileNotFoundError("no roses here")


def test_without_its_data_a_run_has_made_up_images() -> None:
    run: Any = Unread(shape=(3, 8, 9), whole=True, needs_setup=False)
    found = samples_of(run)
    assert found.inputs.shape[1:] == (3, 8, 9)
    assert found.inputs.dtype == torch.uint8
    assert (found.source, found.transform) == ("made-up images, as the data are not here", torch.neg)


@pytest.mark.parametrize("reader", [{}, {"shape": (1, 4, 4), "whole": False, "needs_setup": True}])
def test_without_its_data_a_run_that_needs_them_is_refused(reader: dict[str, Any]) -> None:
    run: Any = Unread(**reader)
    with pytest.raises(ValueError, match=r"data are needed for its scaling and for samples: no roses here"):
        samples_of(run)

"""Predictions for what a person has at hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from PIL import Image
from pyarrow import parquet

from conftest import NUM_TEST, ROOT, Command, Result
from lightning_template.datamodules import (
    FashionMNISTDataModule,
    ImageFolderDataModule,
    InMemoryDataModule,
    TableDataModule,
    TensorsDataModule,
)
from lightning_template.engine.cli.commands.samples import write_samples
from lightning_template.engine.files import OneFileReader
from lightning_template.engine.prediction import FilesToPredict
from lightning_template.engine.prediction.table_file import _without_formulas

OFF = ["--callbacks.figures=null", "--callbacks.dashboard=null", "--trainer.max_epochs=1"]
MLP = ["--config", ROOT / "configs" / "fashion_mnist" / "mlp.yaml", "--trainer.log_every_n_steps=1"]
OLS = ["--config", ROOT / "configs" / "line" / "ols.yaml"]


def read_csv(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_images_of_any_kind(command: Command, fashion_mnist: Path) -> None:
    assert command("fit", *MLP, *OFF, "--data.data_dir", fashion_mnist, "--data.num_workers=0").status == 0
    checkpoint = ["--ckpt_path", "lightning_logs/fashion_mnist_mlp/version_0"]
    assert command("predict", *checkpoint).status == 0
    of_test_set = read_csv("lightning_logs/fashion_mnist_mlp/version_0/predictions.csv")
    assert len(of_test_set) == NUM_TEST

    data = FashionMNISTDataModule(str(fashion_mnist))
    image = data.load()[1][0][3].numpy()
    Path("mine").mkdir()
    Image.fromarray(image).save("mine/a.png")
    Image.fromarray(255 - image).resize((280, 280), Image.Resampling.NEAREST).convert("RGB").save("large.png")
    Image.fromarray(np.pad(image, ((0, 0), (6, 6))[::-1])).save("mine/b.bmp")  # higher than wide: black beside it

    away = ["--data.data_dir=elsewhere"]  # the data are not needed
    result = command("predict", *checkpoint, *away, "--input", "mine", "--output", "out.csv", "--figure", "out.png")
    assert result.status == 0, result.err
    assert result.out.splitlines()[-1] == "predictions  out.csv"
    rows = read_csv("out.csv")
    assert [row.pop("file") for row in rows] == ["mine/a.png", "mine/b.bmp"]
    assert list(rows[0])[:4] == ["index", "prediction", "prediction_name", "probability"]
    assert list(rows[0])[4] == "probability_of_T-shirt/top"
    assert rows[0]["prediction_name"] == data.class_names[int(rows[0]["prediction"])]
    shares = [float(value) for name, value in rows[0].items() if name.startswith("probability_of_")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert max(shares) == float(rows[0]["probability"])
    expected = of_test_set[3]
    for name, value in rows[0].items():
        if name.startswith("probability"):
            assert float(value) == pytest.approx(float(expected[name]), abs=1e-6)
    with Image.open("out.png") as picture:
        assert picture.width > picture.height > 100
        shades = set(np.unique(image[::3, ::3]))  # of the photo, which is in the picture
        shown = set(np.asarray(picture.convert("L")).ravel())
    assert len(shades & shown) > 0.8 * len(shades)

    assert command("predict", *checkpoint, "--input", "large.png", "--invert", "--output", "out.parquet").status == 0
    table = parquet.read_table("out.parquet").to_pydict()
    assert table["file"] == ["large.png"]
    assert table["probability"][0] == pytest.approx(float(expected["probability"]), abs=1e-4)
    assert table["prediction_name"] == [expected["prediction_name"]]
    assert not list(Path().glob(".*out*"))


def test_a_table_of_x(command: Command) -> None:
    assert command("fit", *OLS, *OFF).status == 0
    state = torch.load("lightning_logs/line_ols/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    weight, bias = (tensor.item() for tensor in state.values())
    Path("x.csv").write_text("note,x\na,0\nb,-2.5\n")
    result = command("predict", *OLS, "--ckpt_path=last", "--input=x.csv", "--output=y.csv", "--figure=y.png")
    assert result.status == 0, result.err
    rows = read_csv("y.csv")
    assert [float(row["value"]) for row in rows] == pytest.approx([bias, bias - 2.5 * weight])
    with Image.open("y.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50  # lines and letters, not a blank page


def predicted(data: LightningDataModule) -> torch.Tensor:
    """Return the inputs that are served for prediction."""
    data.prepare_data()
    data.setup("predict")
    return torch.cat(list(data.predict_dataloader()))


def test_inputs_of_tables_and_arrays_are_scaled_as_in_training(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(5, 3, (40, 2))
    rows = [f"{a},{b},{'high' if a > 5 else 'low'}" for a, b in inputs]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,kind", *rows]))
    (tmp_path / "new.csv").write_text("b,a\n7,1\n8,2\n")  # in another order, and without targets
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=inputs[:, :1])
    np.savez(tmp_path / "new.npz", inputs=np.array([[1.0, 7.0], [2.0, 8.0]]))
    table = TableDataModule(str(tmp_path / "data.csv"), "kind")
    arrays = TensorsDataModule(str(tmp_path / "data.npz"))
    for data, new in ((table, "new.csv"), (arrays, "new.npz")):
        given = FilesToPredict(data, [str(tmp_path / new)])
        served = predicted(data)
        assert data.train_set is not None
        rows_used = data.train_set.indices
        mean, std = inputs[rows_used].mean(axis=0), inputs[rows_used].std(axis=0)
        assert np.allclose(served.numpy(), (np.array([[1, 7], [2, 8]]) - mean) / std, atol=1e-5)
        assert given.files is None


def test_images_of_a_folder_are_served_as_in_training(tmp_path: Path) -> None:
    write_samples("image-folder", tmp_path / "shapes", "classification")
    data = ImageFolderDataModule(str(tmp_path / "shapes"), image_size=16, test_fraction=0.2)
    given = FilesToPredict(data, [str(tmp_path / "shapes" / "square")])
    served = predicted(data)
    assert given.files is not None
    assert [Path(file).name for file in given.files] == [f"{number:03}.png" for number in range(80)]
    images, targets = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    assert data.class_names is not None
    squares = {image.numpy().tobytes() for image in images[targets == data.class_names.index("square")]}
    assert len(squares) > 5
    assert squares <= {image.numpy().tobytes() for image in served}


@pytest.mark.parametrize("data", [LightningDataModule(), InMemoryDataModule()])
def test_data_that_read_no_files(data: LightningDataModule) -> None:
    with pytest.raises(ValueError, match="`data` must define `file_reader` to take --input"):
        FilesToPredict(data, ["x.csv"])


class Foreign(LightningDataModule):
    """A data module of another project that reads files, after its set-up or without it."""

    eval_batch_size = 2

    def __init__(self, needs_setup: bool) -> None:
        super().__init__()
        self.needs_setup = needs_setup
        self.scale = 1.0

    def setup(self, stage: str) -> None:
        self.scale = 10.0

    def transform(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.scale * inputs

    def file_reader(self) -> OneFileReader:
        return OneFileReader(lambda path: torch.from_numpy(np.loadtxt(path)), self.needs_setup)


@pytest.mark.parametrize(("needs_setup", "expected"), [(True, [[10, 20], [30]]), (False, [[1, 2], [3]])])
def test_foreign_data_that_read_files(needs_setup: bool, expected: list[list[float]], tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1\n2\n3\n")
    data = Foreign(needs_setup)
    given = FilesToPredict(data, [str(tmp_path / "x.txt")])
    data.prepare_data()
    data.setup("predict")
    assert [batch.tolist() for batch in data.predict_dataloader()] == expected
    assert (given.files, list(given.skipped)) == (None, [])


MISTAKES = {
    "no such file": (["--input=none.csv"], "none.csv"),
    "no column": (["--input=columns.csv"], "has no column 'x'"),
    "text": (["--input=text.csv"], "text.csv, line 3, column 'x': must hold a number"),
    "two tables": (["--input", "text.csv", "columns.csv"], "these data take one file, which is no image: got 2"),
    "not images": (["--input=text.csv", "--invert"], "--invert is for images"),
    "kind": (["--output=y.txt"], "must end in .csv, .parquet to say what to write, got y.txt"),
    "kind of picture": (["--figure=y"], "must end in .png, .pdf, .svg to say what to write, got y"),
    "folder": (["--output=no/y.csv"], "no folder no to write y.csv into"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(options: list[str], message: str, command: Command) -> None:
    Path("columns.csv").write_text("a,b\n1,2\n")
    Path("text.csv").write_text("x\n1\nfive\n")
    result = command("predict", *OLS, "--allow_untrained", *options)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert not list(Path().glob("**/*predictions*"))


def test_images_that_are_none(command: Command, fashion_mnist: Path) -> None:
    Path("empty").mkdir()
    Path("bad.png").write_bytes(b"no image")
    for path, message in {
        "empty": "no images in empty",
        "gone.png": "there is no file or folder gone.png",
        "bad.png": "bad.png cannot be read as an image",
    }.items():
        result = command("predict", *MLP, "--allow_untrained", "--input", path)
        assert (result.status, len(result.err.splitlines())) == (2, 1)
        assert message in result.err


FOLDER = [
    *("predict", "--allow_untrained", "--data=lightning_template.datamodules.ImageFolderDataModule"),
    *("--data.data_dir=train", "--data.image_size=4", "--data.test_fraction=0.2", "--data.val_fraction=0.2"),
    *("--model=lightning_template.tasks.ClassificationTask", "--model.loss=torch.nn.CrossEntropyLoss"),
    *("--model.network=lightning_template.networks.MLP", "--model.network.in_features=48"),
    *("--model.network.hidden_features=[]", "--model.optimizer=torch.optim.SGD", "--trainer.accelerator=cpu"),
]


def predict(command: Command, class_names: list[str], *options: str) -> Result:
    """Predict images with an untrained network for classes of these names."""
    number = len(class_names)
    for name in class_names:
        Path("train", name).mkdir(parents=True, exist_ok=True)
        for level in range(4):
            Image.new("RGB", (4, 4), (60 * level, 0, 0)).save(Path("train", name, f"{level}.png"))
    return command(*FOLDER, f"--model.num_classes={number}", f"--model.network.out_features={number}", *options)


def write_folder(good: int, bad: int) -> None:
    Path("mine").mkdir(exist_ok=True)
    for number in range(good):
        Image.new("RGB", (4, 4), (0, 9 * number, 0)).save(f"mine/{number}.png")
    for number in range(bad):
        Path(f"mine/{number}_bad.png").write_bytes(b"no image")


@pytest.mark.parametrize("limit", [0, 10**9])
def test_images_that_cannot_be_read_are_skipped(limit: int, command: Command) -> None:
    write_folder(5, 2)
    options = ["--input", "mine", "--data.eval_batch_size=2", f"--data.memory_limit={limit}"]
    result = predict(command, ["a", "b"], *options, "--output=some.csv")
    assert result.status == 1
    lines = [line for line in result.err.splitlines() if "mine" in line or "no row" in line]
    assert [line.split(" cannot")[0] for line in lines] == [
        *("skipped: mine/0_bad.png", "skipped: mine/1_bad.png"),
        "files that could not be read and have no row: 2",
    ]
    assert result.out.splitlines()[-1] == "predictions  some.csv"
    for path in Path("mine").glob("*_bad.png"):
        path.unlink()
    assert predict(command, ["a", "b"], *options, "--output=all.csv").status == 0
    assert read_csv("some.csv") == read_csv("all.csv")
    assert [row["file"] for row in read_csv("all.csv")] == [f"mine/{number}.png" for number in range(5)]


def test_many_that_cannot_be_read_are_counted(command: Command) -> None:
    write_folder(1, 8)
    result = predict(command, ["a", "b"], "--input", "mine", "--output=y.csv")
    skipped = [line for line in result.err.splitlines() if line.startswith("skipped: ")]
    assert (result.status, len(skipped), skipped[-1]) == (1, 6, "skipped: 3 more files")
    assert len(read_csv("y.csv")) == 1
    Path("mine/0.png").unlink()
    result = predict(command, ["a", "b"], "--input", "mine", "--output=z.csv")
    assert result.status == 2
    assert "0_bad.png cannot be read as an image" in result.err.splitlines()[-1]
    assert "nor can the 7 other files" in result.err.splitlines()[-1]
    assert not Path("z.csv").exists()


FORMULAS = ["=cmd|' C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "'quoted"]


def test_no_name_is_a_formula(command: Command) -> None:
    Path("-x").mkdir()
    Image.new("RGB", (4, 4)).save("-x/=a.png")
    for kind in ("csv", "parquet"):
        assert predict(command, [*FORMULAS, "plain"], "--input=-x/=a.png", f"--output=y.{kind}").status == 0
    (exact,) = parquet.read_table("y.parquet").to_pylist()
    (row,) = read_csv("y.csv")
    assert exact["file"] == "-x/=a.png"
    assert exact["prediction_name"] in sorted([*FORMULAS, "plain"])
    assert list(row) == list(exact)  # they begin with probability_of_
    for name, value in row.items():
        if isinstance(exact[name], str):
            assert value[0] not in "=+-@\t\r"
            assert value.removeprefix("'") == exact[name]
        else:
            assert float(value) == pytest.approx(exact[name])


@pytest.mark.parametrize("text", [*FORMULAS, "\rx", "\nx", "\uff1dx"])
def test_what_would_be_a_formula_gets_a_quote(text: str) -> None:
    columns = {text: np.array([-1.5]), "name": [text, "plain", ""]}
    written = _without_formulas(columns)
    assert list(written) == [f"'{text}", "name"]
    assert written["name"] == [f"'{text}", "plain", ""]
    assert written[f"'{text}"] is columns[text]


def test_a_table_of_numbers_to_predict_has_no_classes(command: Command) -> None:
    Path("data.csv").write_text("a,b\n" + "".join(f"{index * 7 % 5},{index * index}\n" for index in range(20)))
    result = command(
        *("predict", "--allow_untrained", "--data=lightning_template.datamodules.TableDataModule"),
        *("--data.path=data.csv", "--data.targets=b", "--data.task=regression", "--output=y.csv"),
        *("--model=lightning_template.tasks.RegressionTask", "--model.loss=torch.nn.MSELoss"),
        *("--model.network=torch.nn.Linear", "--model.network.in_features=1", "--model.network.out_features=1"),
        *("--model.optimizer=torch.optim.SGD", "--trainer.accelerator=cpu"),
    )
    assert result.status == 0, result.err
    assert list(read_csv("y.csv")[0]) == ["index", "value", "target"]

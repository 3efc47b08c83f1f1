"""Predictions in Python equal those of the command, for whatever Python holds."""

import csv
import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from conftest import Command
from lightning_template import (
    MLP,
    ClassificationTask,
    InMemoryDataModule,
    RegressionTask,
    Run,
    TableDataModule,
    load_run,
)

OFF = ["--callbacks.figures=null", "--callbacks.dashboard=null", "--trainer.accelerator=cpu"]


def fit(command: Command, task: str, loss: str, data: dict[str, Any], in_features: int, out_features: int) -> Run:
    """Train for one epoch from the command line, and load the run."""
    model: dict[str, Any] = {
        "network": {
            "class_path": "lightning_template.networks.MLP",
            "init_args": {"in_features": in_features, "hidden_features": [4], "out_features": out_features},
        },
        "loss": f"torch.nn.{loss}",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
    }
    if task == "ClassificationTask":
        model["num_classes"] = out_features
    config = {
        "experiment": "run",
        "trainer": {"max_epochs": 1, "log_every_n_steps": 1},
        "model": {"class_path": f"lightning_template.tasks.{task}", "init_args": model},
        "data": {"class_path": f"lightning_template.datamodules.{data.pop('class')}", "init_args": data},
    }
    Path("config.yaml").write_text(yaml.safe_dump(config))
    result = command("fit", "--config=config.yaml", *OFF)
    assert result.status == 0, result.err
    return load_run("lightning_logs/run/version_0")


def written(command: Command, *options: str) -> dict[str, list[Any]]:
    """Return the columns that the command writes, with numbers as numbers."""
    result = command("predict", "--ckpt_path=lightning_logs/run/version_0", "--output=out.csv", *options)
    assert result.status == 0, result.err
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def value(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    return {name: [value(row[name]) for row in rows] for name in rows[0]}


def check_equal(table: pa.Table, expected: dict[str, list[Any]], but: str | None = None) -> None:
    """Compare to the bit: CSV has the shortest digits that tell a number from others."""
    assert isinstance(table, pa.Table)
    assert table.column_names == [name for name in expected if name != but]
    for name in table.column_names:
        found = table[name].to_pylist()
        if pa.types.is_float32(table[name].type):
            assert np.array_equal(np.array(found, np.float32), np.array(expected[name], np.float32)), name
        else:
            assert found == expected[name], name


class Frame:
    """A DataFrame of a library that is not installed: it has the interchange protocol alone."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._table = pa.table(columns)

    def __dataframe__(self, **options: Any) -> Any:
        return self._table.__dataframe__(**options)


class Stream(Frame):
    """One of a newer library."""

    __dataframe__ = None  # type: ignore[assignment]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def test_tables(command: Command) -> None:
    generator = np.random.default_rng(0)
    pairs = generator.normal(5, 3, (60, 2))
    rows = [f"{a:.3f},{'red' if a > 5 else 'blue'},{b:.3f},{'yes' if a > b else 'no'}" for a, b in pairs]
    Path("data.csv").write_text("\n".join(["a,colour,b,kind", *rows]))
    Path("new.csv").write_text("b,a,colour\n1.5,2,red\n,3,blue\n-7,4,green\n")
    data = {
        "class": "TableDataModule",
        "path": "data.csv",
        "targets": "kind",
        "missing": "median",
        "eval_batch_size": 2,
    }
    run = fit(command, "ClassificationTask", "CrossEntropyLoss", data, 4, 2)
    expected = written(command, "--input=new.csv")
    columns: dict[str, list[Any]] = {"a": [2, 3, 4], "colour": ["red", "blue", "green"], "b": [1.5, None, -7.0]}
    rows_given = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kinds = [Frame(columns), Stream(columns), pa.table(columns), columns, rows_given, Path("new.csv"), ["new.csv"]]
    for given in kinds:
        check_equal(run.predict(given), expected)
    check_equal(run.predict(columns | {"a": torch.tensor([2, 3, 4]), "b": np.array([1.5, np.nan, -7])}), expected)
    one_row = run.predict({"a": 2, "colour": "red", "b": 1.5})
    assert one_row["probability"].to_pylist() == pytest.approx(expected["probability"][:1], rel=1e-5)
    assert not run.task.training
    assert "target" in run.predict().column_names
    check_equal(run.predict(), written(command))
    mistakes: dict[str, Any] = {
        "the table has no column 'b'; it has 'a', 'colour'": {"a": [1], "colour": ["red"]},
        "the table, row 2, column 'a': must hold a number": {**columns, "a": ["1", "x", "2"]},
        "the data have 3 columns, a, colour, b, got \\(2, 4\\)": np.zeros((2, 4)),
        "the table has no rows": pa.table({name: [] for name in columns}),
        "the data have 3 columns, a, colour, b, got \\(1, 2, 2\\)": [Image.new("L", (2, 2))],
        "object cannot be taken for a table: give a DataFrame, a dict of columns": object(),
        "dict cannot be taken for a table": {"a": [1, 2], "b": [1]},
        "there is no file nowhere.csv": "nowhere.csv",
    }
    for message, given in mistakes.items():
        with pytest.raises(ValueError, match=message) as one:
            run.predict(given)
        assert "\n" not in str(one.value)
    with pytest.raises(ValueError, match="`invert` is for images"):
        run.predict(columns, invert=True)


def test_images(command: Command) -> None:
    generator = np.random.default_rng(0)
    for name in ("ant", "bee"):
        Path("train", name).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 90 if name == "ant" else 255, (9, 7, 3), np.uint8)
            Image.fromarray(pixels).save(f"train/{name}/{number}.png")
    Path("new").mkdir()
    arrays = [generator.integers(0, 255, shape, np.uint8) for shape in ((9, 7, 3), (5, 5), (8, 8, 4))]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(f"new/{number}.png")
    data = {"class": "ImageFolderDataModule", "data_dir": "train", "image_size": 6, "eval_batch_size": 2}
    data |= {"test_fraction": 0.2, "val_fraction": 0.2}
    run = fit(command, "ClassificationTask", "CrossEntropyLoss", data, 108, 2)
    expected = written(command, "--input=new")
    paths = sorted(Path("new").glob("*"))
    given: Any
    for given in ("new", Path("new"), paths, [str(path) for path in paths]):
        check_equal(run.predict(given), expected)
    opened = [Image.open(path) for path in paths]
    tensors = [torch.from_numpy(array if array.ndim == 2 else np.moveaxis(array, 2, 0).copy()) for array in arrays]
    for given in (arrays, opened, tuple(tensors), [arrays[0], opened[1], tensors[2]]):
        check_equal(run.predict(given), expected, but="file")
    first = run.predict(opened[0]).to_pylist()
    assert first == run.predict(arrays[0][None]).to_pylist() == run.predict(tensors[0][None]).to_pylist()
    assert len(run.predict(np.zeros((5, 6, 6), np.uint8))) == 5
    check_equal(run.predict("new", invert=True), written(command, "--input=new", "--invert"))
    assert (
        run.predict(arrays, invert=True)["probability_of_ant"] == run.predict("new", invert=True)["probability_of_ant"]
    )
    mistakes: dict[str, Any] = {
        "images come one after the other, .* got \\(9, 7, 3\\): put one into a list": arrays[0],
        "image 1: must be a PIL image or an array .* of bytes, got float64 \\(5, 5\\)": [arrays[0], arrays[1] / 255],
        "image 0: must be a PIL image or an array .* of bytes, got uint8 \\(3, 9, 7\\)": [np.moveaxis(arrays[0], 2, 0)],
        "image 0: must be a PIL image .* got Frame": [Frame({"a": [1]})],
        "the data have images \\(3, 6, 6\\): give images, such as a list of PIL's, or paths, got dict": {"a": [1]},
        "there are no inputs to predict": [],
        "there is no file or folder nowhere": "nowhere",
    }
    for message, given in mistakes.items():
        with pytest.raises(ValueError, match=message) as one:
            run.predict(given)
        assert "\n" not in str(one.value)


def test_arrays(command: Command) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(3, 2, (40, 2)).astype(np.float32)
    np.savez("data.npz", inputs=inputs, targets=inputs @ [[1.0], [2.0]])
    np.savez("new.npz", inputs=inputs[:3])
    run = fit(command, "RegressionTask", "MSELoss", {"class": "TensorsDataModule", "path": "data.npz"}, 2, 1)
    expected = written(command, "--input=new.npz")
    new = inputs[:3]
    for given in (new, torch.from_numpy(new), new.tolist(), list(torch.from_numpy(new)), "new.npz", new.astype(float)):
        check_equal(run.predict(given), expected)
    assert all(weight.grad is None for weight in run.task.parameters())
    with pytest.raises(ValueError, match=r"like those of the data, float32 \(N, 2\), got float32 \(3, 5\)"):
        run.predict(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"must be an array of numbers \(N, ...\) or a DataLoader, got list of list"):
        run.predict([["a", "b"]])


def test_the_data_are_not_needed_where_the_command_needs_none(command: Command, fashion_mnist: Path) -> None:
    data = {"class": "FashionMNISTDataModule", "data_dir": str(fashion_mnist)}
    run = fit(command, "ClassificationTask", "CrossEntropyLoss", data, 784, 10)
    image = run.data.load()[1][0][3]
    expected = run.predict([image]).to_pylist()
    Image.fromarray(image.numpy()).save("image.png")
    text = Path("config.yaml").read_text().replace(str(fashion_mnist), "elsewhere")
    away = load_run("lightning_logs/run/version_0")
    assert run.predict().to_pylist()[3]["prediction"] == expected[0]["prediction"]
    away.unread_data.data_dir = Path("elsewhere")
    assert "elsewhere" in text
    check_equal(away.predict("image.png"), written(command, "--input=image.png", "--data.data_dir=elsewhere"))
    assert away.predict([Image.open("image.png")]).to_pylist() == expected
    assert not Path("elsewhere").exists()


class Squares(InMemoryDataModule):
    """Bytes without a reader of files."""

    def load(self) -> Any:
        inputs = torch.arange(40, dtype=torch.uint8).unsqueeze(1)
        return (inputs, inputs.float() ** 2), None

    def transform(self, inputs: Tensor) -> Tensor:
        return inputs / 40


def regression() -> RegressionTask:
    return RegressionTask(MLP(1, [4], 1), nn.MSELoss(), partial(torch.optim.SGD, lr=0.1))


def test_objects_made_in_python() -> None:
    task, data = regression(), Squares()
    run = Run(task, data)
    with torch.no_grad():
        expected = task(torch.tensor([[0.1], [0.2]])).flatten().tolist()
    assert run.predict([[4], [8]]).to_pydict() == {"index": [0, 1], "value": expected}
    assert run.predict(np.array([[4.0], [8.0]]))["value"].to_pylist() == expected
    with pytest.raises(ValueError, match=r"like those of the data, uint8 \(N, 1\), got float32 \(1, 1\)"):
        run.predict(torch.tensor([[0.5]]))
    with pytest.raises(ValueError, match="Squares predicts what they serve alone: `data` must define `file_reader`"):
        run.predict("x.csv")
    with pytest.raises(ValueError, match="`invert` is for images, and Squares has no `file_reader` for them"):
        run.predict([[4]], invert=True)
    assert task.training
    assert len(run.predict()) == 4
    batches: Any = [torch.tensor([[0.1], [0.2]])]  # any list is a data set
    assert Run(task).predict(DataLoader(batches, batch_size=None))["value"].to_pylist() == expected
    with pytest.raises(ValueError, match="a module with its own loaders predicts what they serve alone"):
        Run(task).predict("x.csv")
    assert Run(task).predict(torch.tensor([[0.1], [0.2]]))["value"].to_pylist() == expected


class Plain(LightningModule):
    """Somebody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        x = batch[0] if isinstance(batch, list) else batch
        return {"score": self.layer(x)}


class Growing(Plain):
    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        return {"score": batch[0][:, : batch_idx + 1], "sum": batch[0].sum(dim=1)}


class PlainData(LightningDataModule):
    transform = None

    def test_dataloader(self) -> Any:
        return DataLoader(TensorDataset(torch.ones(3, 3)), batch_size=2)

    def predict_dataloader(self) -> list[Any]:
        return [self.test_dataloader(), self.test_dataloader()]


def test_modules_of_others() -> None:
    run = Run(Plain(), PlainData())
    assert repr(run) == "Run(task=Plain, data=PlainData)"
    assert run.predict().column_names == ["index", "dataloader", "score_0", "score_1"]
    assert len(run.predict()) == 6
    assert run.predict(torch.ones(2, 3))["score_1"].to_pylist() == run.predict()["score_1"].to_pylist()[:2]
    with pytest.raises(
        ValueError, match=r"inputs torch.float32 \(1, 5\) do not fit the task, whose loaders serve .*\(2, 3\)"
    ):
        run.predict(torch.ones(1, 5))
    table = Run(Growing(), PlainData()).predict()
    assert table.column_names == ["index", "dataloader", "score", "sum", "score_0", "score_1"]
    assert table["score_1"].to_pylist() == [None, None, 1.0] * 2
    assert table["index"].to_pylist() == [0, 1, 2] * 2
    assert run.predict([[1.0, 1.0, 1.0]])["score_1"].to_pylist() == run.predict(np.ones((1, 3)))["score_1"].to_pylist()
    with pytest.raises(ValueError, match="`predict_dataloader` must be implemented"):
        Run(Plain(), LightningDataModule()).predict()


def test_dates_in_memory_are_those_of_a_file(tmp_path: Path) -> None:
    rows = [f"2024-01-{1 + index:02},0{index % 9 + 1}.02.2024,{index},{'ab'[index % 2]}" for index in range(28)]
    (tmp_path / "data.csv").write_text("\n".join(["iso,german,n,kind", *rows]))
    (tmp_path / "new.csv").write_text("iso,german,n\n2024-03-01,05.03.2024,4\n2024-03-02,06.03.2024,5\n")
    data = TableDataModule(str(tmp_path / "data.csv"), "kind", inputs=["iso", "german", "n"])
    run = Run(ClassificationTask(MLP(3, [4], 2), nn.CrossEntropyLoss(), 2), data)
    expected = run.predict(tmp_path / "new.csv")
    days = [datetime.date(2024, 3, 1), datetime.date(2024, 3, 2)]
    later = np.array(["2024-03-05", "2024-03-06"], "datetime64[ns]")
    for columns in (
        {"iso": ["2024-03-01", "2024-03-02"], "german": ["05.03.2024", "06.03.2024"]},
        {"iso": days, "german": later},
    ):
        assert run.predict(columns | {"n": [4, 5]}) == expected
    assert run.predict({"iso": days, "german": later, "n": ["4", "5 "]}) == expected

"""Tables, checked against numpy and the cells that were written."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from array_data import PLAIN_MLP
from conftest import Command
from lightning_template.datamodules import TableDataModule

NUM_ROWS = 40
WEATHER = ("rain", "sun", "fog")


def rows() -> list[list[Any]]:
    generator = np.random.default_rng(0)
    return [
        [round(generator.normal(1e6, 2), 3), index % 7, f"name {index}", WEATHER[index % 3], index / 4]
        for index in range(NUM_ROWS)
    ]


NAMES = ["pressure", "day", "name", "weather", "rainfall"]


def write(path: Path, table: list[list[Any]], names: list[str] = NAMES) -> Path:
    if path.suffix == ".parquet":
        columns = dict(zip(names, map(list, zip(*table, strict=True)), strict=True))
        parquet.write_table(pa.table(columns), path)
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        path.write_text("".join(delimiter.join(map(str, row)) + "\n" for row in [names, *table]))
    return path


def make(path: Path, targets: Any = "weather", **options: Any) -> TableDataModule:
    data = TableDataModule(str(path), targets, **options)
    data.setup("fit")
    return data


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_classification(suffix: str, tmp_path: Path) -> None:
    table = rows()
    data = make(write(tmp_path / f"table.{suffix}", table), shuffle=False, batch_size=100)
    assert data.input_names == ("pressure", "day", "rainfall")
    assert (data.class_names, data.num_classes, data.input_shape) == (("fog", "rain", "sun"), 3, (3,))
    assert data.train_set is not None
    assert data.class_names is not None
    used = [table[index] for index in data.train_set.indices]
    assert len(used) == 32  # 4 of 40 are for the test, 4 of 36 for validation
    inputs, targets = next(iter(data.train_dataloader()))
    raw = np.array([[row[0], row[1], row[4]] for row in used])
    np.testing.assert_allclose(inputs, (raw - raw.mean(0)) / raw.std(0), rtol=1e-4, atol=1e-5)
    assert inputs.dtype == torch.float32
    assert [data.class_names[target] for target in targets] == [row[3] for row in used]


def test_regression_of_several_columns(tmp_path: Path) -> None:
    table = rows()
    path = write(tmp_path / "table.csv", table)
    data = make(path, ["rainfall", "day"], inputs=["pressure"], task="regression", normalize=False, shuffle=False)
    assert data.train_set is not None
    used = [table[index] for index in data.train_set.indices]
    inputs, targets = next(iter(data.train_dataloader()))
    np.testing.assert_allclose(inputs, [[row[0]] for row in used], rtol=1e-6)
    np.testing.assert_allclose(targets, [[row[4], row[1]] for row in used], rtol=1e-6)
    assert (inputs.dtype, targets.dtype, data.class_names) == (torch.float32, torch.float32, None)


def test_a_test_file(tmp_path: Path) -> None:
    table = rows()
    path = write(tmp_path / "train.csv", table)
    test_path = write(tmp_path / "test.parquet", [row[::-1] for row in table[4:9]], NAMES[::-1])
    data = make(path, test_path=str(test_path), val_fraction=0.5)
    assert data.train_set is not None
    assert len(data.train_set) == 20
    (inputs, targets), *_ = data.test_dataloader()
    raw = np.array([[row[0], row[1], row[4]] for row in table])
    used = raw[data.train_set.indices]
    np.testing.assert_allclose(inputs, (raw[4:9] - used.mean(0)) / used.std(0), rtol=1e-4, atol=1e-5)
    assert data.class_names is not None
    assert [data.class_names[target] for target in targets] == [row[3] for row in table[4:9]]


@pytest.mark.parametrize("value", [0.1, 0.0, -1e9])
def test_a_constant_column_becomes_zero(value: float, tmp_path: Path) -> None:
    table = [[value, index**2, index % 2] for index in range(50)]
    data = make(write(tmp_path / "table.csv", table, ["same", "other", "y"]), "y", batch_size=100)
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs[:, 0].abs().max() < 1e-6
    assert inputs[:, 1].std() > 0.9


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["b", "a", "10"], ("10", "a", "b")),
        (["2.0", "1.0", "2.0"], ("1", "2")),
        (["true", "false", "true"], ("false", "true")),
        ([" a", "b ", "a"], ("a", "b")),
    ],
)
def test_classes_are_text_or_whole_numbers(cells: list[str], names: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", [[index / 2, cell] for index, cell in enumerate(cells * 4)], ["x", "y"])
    data = make(path, "y")
    assert data.class_names == names
    assert data.train_set is not None
    assert [names[target] for target in data.train_set.targets] == [
        cell.strip().removesuffix(".0") for cell in cells
    ] * 4


def test_other_ways_to_write_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbfx, y\r\n1,"a, b"\r\n2,"two\nlines"\r\n\r\n3,"a, b"\r\n')
    data = make(path, "y", val_fraction=0.0, test_fraction=0.0)
    assert data.class_names == ("a, b", "two\nlines")
    assert data.train_set is not None
    assert data.train_set.inputs.tolist() == [[1], [2], [3]]
    columns = {"x": pa.array([0.5, 1.5, 2.5]), "y": pa.array(["u", "v", "u"]).dictionary_encode()}
    parquet.write_table(pa.table(columns), tmp_path / "table.parquet")
    assert make(tmp_path / "table.parquet", "y", val_fraction=0.0, test_fraction=0.0).class_names == ("u", "v")


HEAD = "x,z,y\n1,2,a\n"
REGRESSION = {"targets": "y", "task": "regression"}
NO_TARGET = "column 'y': must hold a value; 1 of . rows lack one in 'y': give `--data.missing drop`, or mend .*, got ''"
TEXTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "text among numbers": (
        HEAD + "\n3,oops,b\n4,5,a\n",
        {},
        r"table.csv, line 4, column 'z': must hold a number, or the column be left out of `inputs`, got 'oops'",
    ),
    "a line break in a cell": (
        'x,z,y\n"1","2","two\nlines"\n3,oops,b\n4,5,a\n',
        {},
        "line 4, column 'z': must hold a number.*, got 'oops'",
    ),
    "empty cell": (
        HEAD + "3,,b\n,4,b\n",
        {},
        "table.csv, line 4, column 'x': must hold a value; 2 of 3 rows lack one in 'x', 'z': give "
        "`--data.missing median`, `drop` or `indicator`, got ''",
    ),
    "NaN": (HEAD + "NaN,1,b\n", {}, "line 3, column 'x': must hold a value; 1 of 2 rows .*, got 'NaN'"),
    "infinite": (HEAD + "1,-inf,b\n", {}, "line 3, column 'z': must hold a finite number, got '-inf'"),
    "empty class in the first row": ("x,y\n1,\n2,b\n", {}, f"line 2, {NO_TARGET}"),
    "empty class": (HEAD + "1,2,\n", {}, f"line 3, {NO_TARGET}"),
    "empty number of a class": ("x,y\n1,1\n2,\n3,2\n", {}, f"line 3, {NO_TARGET}"),
    "empty target": ("x,y\n1,1\n2,\n3,2\n", REGRESSION, f"line 3, {NO_TARGET}"),
    "text as target": (HEAD + "3,4,b\n", REGRESSION, "line 2, column 'y': must hold a number.*, got 'a'"),
    "missing column": (HEAD, {"targets": "yy"}, r"has no column 'yy', did you mean 'y'\? It has 'x', 'z', 'y'"),
    "missing input": (HEAD, {"inputs": ["w"]}, "has no column 'w'; it has 'x', 'z', 'y'"),
    "one class": (HEAD + "3,4,a\n", {}, "column 'y': the target is the same in all 2 samples: there is nothing to"),
    "constant target": (
        "x,y,w\n1,3,1\n2,3,2\n",
        {"targets": ["w", "y"], "task": "regression"},
        "column 'y': the target is the same in all 2 samples",
    ),
    "fractions as classes": (
        "x,y\n1,1\n2,2.5\n",
        {},
        r"line 3, column 'y': must hold a class, .*regression.*, got '2.5'",
    ),
    "too many classes": (
        "x,y\n" + "".join(f"1,{number}\n" for number in range(1001)),
        {},
        "column 'y': 1001 different numbers are more than 1000 classes: give `task: regression`",
    ),
    "no inputs": ("x,y\nu,a\nv,b\n", {}, "has no column of numbers or categories beside y to predict it from"),
    "dates as classes": (
        "x,y\n1,2020-01-01\n2,2020-01-02\n",
        {},
        "column 'y': classes must be text or whole numbers, got",
    ),
    "empty file": ("", {}, "table.csv cannot be read as a table: Empty CSV file"),
    "no rows": ("x,y\n", {}, "table.csv has no rows"),
    "no names": ("1,2\n3,4\n5,6\n", {}, "the first line of .*table.csv must name the columns, got 1, 2"),
    "the same name twice": ("x,x,y\n1,2,a\n", {}, "has more than one column of the name 'x'"),
    "a cell too few": (HEAD + "1,2\n", {}, "cannot be read as a table: .*Row #3: Expected 3 columns, got 2: 1,2"),
}


@pytest.mark.parametrize("mistake", TEXTS)
def test_mistakes_in_a_table_are_named(mistake: str, tmp_path: Path) -> None:
    text, options, message = TEXTS[mistake]
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "table.csv", **{"targets": "y"} | options)


def test_labels_stay_where_the_test_file_lacks_a_class(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", [[1, "c"], [2, "a"], [3, "b"]], ["x", "y"])
    test = write(tmp_path / "test.csv", [[1, "c"], [2, "b"]], ["x", "y"])
    data = make(train, "y", test_path=str(test), val_fraction=0.0)
    assert data.class_names == ("a", "b", "c")
    assert data.train_set is not None
    assert data.test_set is not None
    assert data.train_set.targets.tolist() == [2, 0, 1]
    assert data.test_set.targets.tolist() == [2, 1]


def test_mistakes_in_other_files_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [[1, "a"], [2, "b"]], ["x", "y"])
    other = write(tmp_path / "other.csv", [[1, "a"], [2, "c"]], ["x", "y"])
    lacking = write(tmp_path / "lacking.csv", [[1, "a"]], ["z", "y"])
    nan = write(tmp_path / "nan.parquet", [[1.0, "a"], [float("nan"), "b"]], ["x", "y"])
    (tmp_path / "zero.csv").write_bytes(b"x,y\n1,\0\n")
    (tmp_path / "cut.parquet").write_bytes(nan.read_bytes()[:-5])
    (tmp_path / "table.xlsx").touch()
    cases: list[tuple[Path, Path | None, str]] = [
        (good, other, "other.csv, line 3, column 'y': is of a class that the training set lacks; it has a, b, got 'c'"),
        (good, lacking, "lacking.csv has no column 'x'"),
        (nan, None, "nan.parquet, row 2, column 'x': must hold a value; .*, got nan"),
        (tmp_path / "zero.csv", None, "zero.csv cannot be read as a table: it holds zero bytes, and no text has them"),
        (tmp_path / "cut.parquet", None, "cut.parquet cannot be read as a table: "),
        (
            tmp_path / "table.xlsx",
            None,
            "a table's name must end in .csv, .tsv, .txt \\(or .csv.gz\\) or .parquet, got .*table.xlsx",
        ),
        (tmp_path / "none.csv", None, "there is no file .*none.csv"),
    ]
    for path, test_path, message in cases:
        with pytest.raises(ValueError, match=message):
            make(path, "y", test_path=test_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["x", "y"]}, r"must name one column, or several for regression, got \['x', 'y'\]"),
        ({"targets": [], "task": "regression"}, r"must name one column, .*, got \[\]"),
        ({"targets": "y", "inputs": []}, r"`inputs` must name at least one column, or be left out, got \[\]"),
        ({"targets": "y", "inputs": ["x", "y"]}, r"a column must not be input and target at once, .*, got \['y'\]"),
        ({"targets": "y", "exclude": ["y"]}, r"target and left out, got \['y'\]"),
        ({"targets": "y", "inputs": ["x"], "exclude": ["z"]}, r"got both `inputs` and `exclude` \['z'\]"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableDataModule("table.csv", **options)


def test_a_fit_from_the_command_line(command: Command, workspace: Path) -> None:
    write(workspace / "table.csv", rows())
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TableDataModule", "--data.path=table.csv"),
        *("--data.targets=rainfall", "--data.task=regression", "--data.inputs=[pressure,day]"),
        *("--model=lightning_template.tasks.RegressionTask", *PLAIN_MLP, "--model.loss=torch.nn.MSELoss"),
        *("--model.network.in_features=2", "--model.network.out_features=1"),
    )
    assert fitted.status == 0, fitted.err
    missing = command("test", "--ckpt_path=lightning_logs/default/version_0", "--data.targets=rain")
    assert missing.status == 2
    assert "table.csv has no column 'rain', did you mean 'rainfall'?" in missing.err.splitlines()[-1]


PLAIN = [[0.5, "a"], [1.5, "b"], [-0.5, "a"], [2.0, "b"], [0.25, "a"], [7.0, "b"], [1.0, "a"], [-3.0, "b"]]


def with_index(name: str, values: list[Any]) -> tuple[list[list[Any]], list[str]]:
    return [[value, *row] for value, row in zip(values, PLAIN, strict=True)], [name, "x", "y"]


INDICES: dict[str, tuple[str, list[Any], bool]] = {
    "pandas": ("", list(range(8)), True),
    "pandas, read and written again": ("Unnamed: 0", list(range(8)), True),
    "twice": ("Unnamed: 0.1", list(range(8)), True),
    "without a name, shuffled": ("", [3, 1, 2, 0, 7, 6, 5, 4], True),
    "of Parquet": ("__index_level_0__", [3, 1, 2, 0, 7, 6, 5, 4], True),
    "from 0": ("id", list(range(8)), True),
    "from 1": ("row", list(range(1, 9)), True),
    "from 2": ("id", list(range(2, 10)), False),
    "by two": ("id", list(range(0, 16, 2)), False),
    "repeated": ("id", [0, 1, 2, 3, 4, 5, 6, 6], False),
    "shuffled": ("id", [1, 0, 2, 3, 4, 5, 6, 7], False),
    "fractions": ("id", [index / 2 for index in range(8)], False),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", INDICES)
def test_an_index_is_no_input(kind: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name, values, is_index = INDICES[kind]
    path = write(tmp_path / f"table.{suffix}", *with_index(name, values))
    caplog.set_level(logging.INFO)
    data = make(path, "y", val_fraction=0.25, test_fraction=0.25)
    assert data.input_names == (("x",) if is_index else (name, "x"))
    told = [record.getMessage() for record in caplog.records if "index of the rows" in record.getMessage()]
    expected = (
        f"{path}: column {name!r}: no input, as it is an index of the rows; to use it, name all inputs in `inputs`"
    )
    assert told == [expected] * is_index
    caplog.clear()
    kept = make(path, "y", inputs=[name, "x"], val_fraction=0.25, test_fraction=0.25)
    assert (kept.input_names, caplog.records) == ((name, "x"), [])
    served, _ = next(iter(kept.test_dataloader()))
    assert served.shape == (2, 2)


def test_an_index_alone_is_nothing_to_predict_from(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", [[index, kind] for index, (_, kind) in enumerate(PLAIN)], ["id", "y"])
    with pytest.raises(
        ValueError,
        match="no column of numbers or categories beside y to predict it from; column 'id': no input, as it is an",
    ):
        make(path, "y")


def test_few_rows_count_by_chance(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("x,y\n0,a\n1,b\n2,b\n")
    assert make(tmp_path / "table.csv", "y", test_fraction=0.0, val_fraction=0.0).input_names == ("x",)


def test_a_run_keeps_its_columns(command: Command, workspace: Path) -> None:
    write(workspace / "table.csv", *with_index("", list(range(8))))
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TableDataModule", "--data.path=table.csv", "--data.targets=y"),
        *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=2"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--data.test_fraction=0.25", "--data.val_fraction=0.25"),
        *("--model.network.in_features=1", "--model.network.out_features=2", "--callbacks.dashboard=null"),
    )
    assert fitted.status == 0, fitted.err
    assert fitted.err.count("index of the rows") == 1
    resumed = command("fit", "--ckpt_path=lightning_logs/default/version_0", "--trainer.max_epochs=2")
    assert resumed.status == 0, resumed.err
    write(workspace / "new.csv", [[4, 1.0]], ["", "x"])
    predicted = command("predict", "--ckpt_path=lightning_logs/default/version_0", "--input=new.csv")
    assert predicted.status == 0, predicted.err

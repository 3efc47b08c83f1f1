"""Tables as people have them, checked against the values that were written."""

import gzip
import logging
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from test_table import make
from torch import Tensor

from array_data import PLAIN_MLP
from conftest import Command
from lightning_template.datamodules import TableDataModule
from lightning_template.engine.files import TableFile

PLAIN = {"normalize": False, "val_fraction": 0.0, "test_fraction": 0.0}
NUMBERS = [[1.5, -200.25], [2.0, 0.5], [0.125, 1e3], [7.0, 3.0]]
KINDS = ["Käse", "Öl", "Käse", "Öl"]


def text(separator: str, decimal: str = ".", quote: str = "") -> str:
    rows = [[str(value).replace(".", decimal) for value in row] for row in NUMBERS]
    lines = [["Länge", "b", "kind"], *([*row, quote + kind + quote] for row, kind in zip(rows, KINDS, strict=True))]
    return "\n".join(separator.join(line) for line in lines) + "\n"


WRITINGS: dict[str, tuple[str, bytes]] = {
    "semicolons": ("a.csv", text(";").encode()),
    "wine quality": ("a.csv", text(";", quote='"').encode()),
    "Excel in Europe": ("a.csv", b"\xef\xbb\xbf" + text(";", ",").replace("\n", "\r\n").encode()),
    "Windows": ("a.csv", text(";", ",").encode("cp1252")),
    "Latin-1": ("a.csv", text(",").replace("Öl", "\x81").encode("latin1")),
    "Unicode text of Excel": ("a.txt", text("\t", ",").encode("utf-16")),
    "UTF-16, big-endian": ("a.csv", b"\xfe\xff" + text(",").encode("utf-16-be")),
    "tabs in a csv": ("a.csv", text("\t").encode()),
    "commas in a txt": ("a.txt", text(",").encode()),
    "bars": ("a.txt", text("|").encode()),
    "spaces": ("a.txt", text(" ").encode()),
    "aligned": ("a.txt", text(" ").replace(" ", "    ").replace("\n", "  \n  ").strip().encode()),
    "gzip": ("a.csv.gz", gzip.compress(text(",").encode())),
    "gzip, tabs, UTF-16": ("a.tsv.gz", gzip.compress(text("\t").encode("utf-16"))),
    "decimal commas in quotes": ("a.csv", text(";", ",").replace("1,5", '"1,5"').encode()),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_text_is_read_as_it_was_written(writing: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name, content = WRITINGS[writing]
    (tmp_path / name).write_bytes(content)
    caplog.set_level(logging.INFO)
    data = make(tmp_path / name, "kind", **PLAIN)
    assert data.train_set is not None
    assert data.input_names == ("Länge", "b")
    assert data.train_set.inputs.tolist() == NUMBERS
    assert data.class_names == (("Käse", "\x81") if writing == "Latin-1" else ("Käse", "Öl"))
    assert data.train_set.targets.tolist() == [0, 1, 0, 1]
    assert sum("read with the separator" in record.getMessage() for record in caplog.records) == (writing != "gzip")


def test_what_is_unusual_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_bytes(text(";", ",").encode("cp1252"))
    caplog.set_level(logging.INFO)
    make(tmp_path / "a.csv", "kind", **PLAIN)
    expected = f"{tmp_path / 'a.csv'}: read with the separator ';', the decimal point ',' and the encoding cp1252"
    assert [record.getMessage() for record in caplog.records] == [expected]


@pytest.mark.parametrize(
    "content",
    [
        "Länge, mm;Breite, mm;kind\n1,5;2;a, b\n2,5;4;a, c\n",
        "Länge, mm;Breite, mm;kind\n1,5;2,0;a, b\n2,5;4,0;a, c\n",
    ],
)
def test_commas_in_cells_do_not_separate(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    data = make(tmp_path / "a.csv", "kind", **PLAIN)
    assert data.train_set is not None
    assert data.train_set.inputs.tolist() == [[1.5, 2], [2.5, 4]]


def test_a_mistake_is_named_by_its_line_in_any_writing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("x;y\n1,5;ä\n\n2,5;ö\nzwölf;ö\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"line 5, column 'x': must hold a number, .*, got 'zwölf'"):
        make(tmp_path / "a.txt", "y")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1,a\n2,b\n")[:-9])
    with pytest.raises(ValueError, match=r"a.csv.gz cannot be read as a table: "):
        make(tmp_path / "a.csv.gz", "y")


def test_one_column_needs_no_separator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    caplog.set_level(logging.INFO)
    assert TableFile(tmp_path / "a.csv").numbers(["x"]).tolist() == [[1], [2]]
    assert caplog.records == []


TITANIC = """\
PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Fare,Cabin,Embarked
1,0,3,"Braund, Mr. Owen",male,22,A/5 21171,7.25,,S
2,1,1,"Cumings, Mrs. John",female,38,17599,71.2833,C85,C
3,1,3,"Heikkinen, Miss Laina",female,,310128,7.925,,S
4,1,1,"Futrelle, Mrs. Jacques",female,35,113803,53.1,C123,S
5,0,3,"Allen, Mr. William",male,28,373450,8.05,,
6,0,3,"Moran, Mr. James",male,,STON/O2 330877,8.4583,,Q
7,0,1,"McCarthy, Mr. Timothy",male,54,17463,51.8625,E46,S
8,0,3,"Palsson, Master Gosta",male,2,PC 349909,21.075,,C
"""
NUMBER_NAMES = ("Pclass", "Age", "Fare")
CATEGORY_NAMES = ("Sex=female", "Sex=male", "Embarked=C", "Embarked=Q", "Embarked=S")


@pytest.fixture
def titanic(tmp_path: Path) -> Path:
    (tmp_path / "titanic.csv").write_text(TITANIC)
    return tmp_path / "titanic.csv"


def served(batches: Any) -> Tensor:
    """Return what a set serves, of all its samples in their order."""
    inputs: Tensor = batches.transform(batches.inputs.index_select(0, batches.indices))
    return inputs


def test_missing_values_are_refused_with_the_option_that_takes_them(titanic: Path) -> None:
    message = (
        "titanic.csv, line 4, column 'Age': must hold a value; 3 of 8 rows lack one in 'Age', 'Embarked': "
        "give `--data.missing median`, `drop` or `indicator`, got ''"
    )
    with pytest.raises(ValueError, match=message):
        make(titanic, "Survived")


def test_median_and_categories(titanic: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = make(titanic, "Survived", missing="median", **PLAIN)
    assert data.input_names == (*NUMBER_NAMES, *CATEGORY_NAMES)
    inputs = served(data.train_set)
    np.testing.assert_allclose(inputs[:, 1], [22, 38, 31.5, 35, 28, 31.5, 54, 2])
    assert inputs[:, 3:].tolist()[:5] == [
        [0, 1, 0, 0, 1],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 0, 0],
    ]
    left_out = "column 'Name', 'Ticket', 'Cabin': no input, as it is text that differs in most rows"
    assert sum(left_out in record.getMessage() for record in caplog.records) == 1


def test_indicators_tell_where_there_was_no_value(titanic: Path) -> None:
    data = make(titanic, "Survived", missing="indicator", **PLAIN)
    assert data.input_names == (*NUMBER_NAMES, *CATEGORY_NAMES, "Age is missing", "Embarked is missing")
    inputs = served(data.train_set)
    assert inputs[:, 8].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
    assert inputs[:, 9].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_rows_without_a_value_are_dropped(titanic: Path, caplog: pytest.LogCaptureFixture) -> None:
    titanic.write_text(TITANIC + '9,,1,"Nobody, Mr.",male,2,PC 1,2,,C\n')
    caplog.set_level(logging.INFO)
    data = make(titanic, "Survived", missing="drop", **PLAIN)
    assert data.train_set is not None
    assert served(data.train_set)[:, 1].tolist() == [22, 38, 35, 54, 2]
    assert data.train_set.targets.tolist() == [0, 1, 1, 0, 0]
    assert f"{titanic}: 4 rows left out, as they lack a value" in [record.getMessage() for record in caplog.records]
    titanic.write_text("x,z,y\n1,,a\n,2,b\n")
    with pytest.raises(ValueError, match="each row lacks a value, most of them of 'x': it can be no input"):
        make(titanic, "y", missing="drop", inputs=["x", "z"])


def test_lines_are_right_after_rows_were_dropped(tmp_path: Path) -> None:
    for suffix, where in (("csv", "line 5"), ("parquet", "row 4")):
        path = tmp_path / f"a.{suffix}"
        if suffix == "csv":
            path.write_text("x,y\n1,a\n,b\n2,b\ninf,a\n")
        else:
            parquet.write_table(pa.table({"x": [1, None, 2, np.inf], "y": list("abba")}), path)
        with pytest.raises(ValueError, match=f"a.{suffix}, {where}, column 'x': must hold a finite number, got '?inf"):
            make(path, "y", missing="drop")


@pytest.mark.parametrize("missing", ["median", "indicator"])
def test_statistics_are_those_of_training_rows(missing: Any, tmp_path: Path) -> None:
    values = [None if index % 5 == 0 else 1000.0**index for index in range(20)]
    table = {"x": values, "z": range(20, 60, 2), "kind": list("pq") * 10, "y": [index % 3 for index in range(20)]}
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    data = make(tmp_path / "a.parquet", "y", missing=missing, test_fraction=0.25, val_fraction=0.25)
    assert data.train_set is not None
    used = np.array([np.nan if value is None else value for value in values])[data.train_set.indices]
    filled = np.where(np.isnan(used), np.nanmedian(used), used)
    inputs = served(data.train_set)
    np.testing.assert_allclose(inputs[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-5)
    assert set(inputs[:, 2:].flatten().tolist()) == {0, 1}  # categories and flags are not scaled
    (test_inputs, _), *_ = data.test_dataloader()
    rows = np.array([np.nan if value is None else value for value in values])[data.test_set.indices]  # type: ignore[union-attr]
    expected = (np.where(np.isnan(rows), np.nanmedian(used), rows) - filled.mean()) / filled.std()
    np.testing.assert_allclose(test_inputs[:, 0], expected, rtol=1e-5)


def test_no_value_in_any_training_row_is_zero(tmp_path: Path) -> None:
    path, test_path = tmp_path / "a.csv", tmp_path / "test.csv"
    path.write_text("x,z,y\n,1,a\n,2,b\n,3,b\n")
    test_path.write_text("x,z,y\n5,1,a\n,2,b\n")
    options = PLAIN | {"test_fraction": None}
    data = make(path, "y", missing="median", inputs=["x", "z"], test_path=str(test_path), **options)
    assert served(data.train_set)[:, 0].tolist() == [0, 0, 0]
    assert served(data.test_set)[:, 0].tolist() == [5, 0]


def test_unknown_categories_are_none_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("x,color,y\n" + "1.5,red,a\n2.5,blue,b\n" * 4)
    (tmp_path / "test.csv").write_text("y,color,x\na,green,1\nb, red ,2\na,green,3\n")
    data = make(tmp_path / "a.csv", "y", test_path=str(tmp_path / "test.csv"), normalize=False, val_fraction=0.0)
    assert served(data.test_set).tolist() == [[1, 0, 0], [2, 0, 1], [3, 0, 0]]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    expected = f"{tmp_path / 'test.csv'}, column 'color': values that the training set lacks count as none of its "
    assert told == [expected + "categories: 'green'"]


def test_categories_may_be_numbers_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,size,y\n" + "1.5,1,a\n2.5,XL,b\n" * 4)
    (tmp_path / "test.csv").write_text("x,size,y\n1,1,a\n2,1,b\n")
    data = make(tmp_path / "a.csv", "y", test_path=str(tmp_path / "test.csv"), normalize=False, val_fraction=0.0)
    assert data.input_names == ("x", "size=1", "size=XL")
    assert served(data.test_set).tolist() == [[1, 1, 0], [2, 1, 0]]


def test_text_of_a_row_each_is_an_input_if_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\nu,a\nv,b\n")
    with pytest.raises(ValueError, match="has no column of numbers or categories beside y"):
        make(tmp_path / "a.csv", "y", **PLAIN)
    assert served(make(tmp_path / "a.csv", "y", inputs=["x"], **PLAIN).train_set).tolist() == [[1, 0], [0, 1]]
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"u{index},{index % 2}\n" for index in range(1001)))
    with pytest.raises(ValueError, match="column 'x': 1001 different texts are more than 1000 categories"):
        make(tmp_path / "a.csv", "y", inputs=["x"])


def test_empty_columns_are_no_inputs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("x,Unnamed: 32,y\n1.5,,a\n2.5,,b\n")
    caplog.set_level(logging.INFO)
    assert make(tmp_path / "a.csv", "y", **PLAIN).input_names == ("x",)
    assert "column 'Unnamed: 32': no input, as it is empty" in caplog.text


@pytest.mark.parametrize("sign", ["?", "NA", "nan", "None", "null", "N/A", "#N/A", " "])
def test_signs_of_a_missing_number(sign: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"x,y\n1,a\n{sign},b\n3,b\n5,a\n")
    data = make(tmp_path / "a.csv", "y", missing="median", **PLAIN)
    assert served(data.train_set).tolist() == [[1], [3], [3], [5]]


DATES: dict[str, tuple[list[Any], list[float]]] = {
    "days": (["1970-01-03", "2020-02-29"], [2, 18321]),
    "times": (["1970-01-02 12:00:00", "1970-01-03T06:00:00"], [1.5, 2.25]),
    "with a zone": (["1970-01-02 12:00:00Z", "1970-01-02 12:00:00+06:00"], [1.5, 1.25]),
    "German": (["3.1.1970", "29.02.2020"], [2, 18321]),
    "German, with a time": (["2.1.1970 12:00", "3.1.1970 06:00"], [1.5, 2.25]),
    "American": (["01/03/1970", "2/29/2020"], [2, 18321]),
    "British": (["3/1/1970", "29/02/2020"], [2, 18321]),
    "time of day": (["06:00:00", "18:00:00"], [0.25, 0.75]),
}


@pytest.mark.parametrize("writing", DATES)
def test_dates_are_days(writing: str, tmp_path: Path) -> None:
    cells, days = DATES[writing]
    (tmp_path / "a.csv").write_text(
        "".join(f"{cell},{kind}\n" for cell, kind in zip(["when", *cells], "yab", strict=True))
    )
    data = make(tmp_path / "a.csv", "y", **PLAIN)
    assert served(data.train_set).flatten().tolist() == days


def test_dates_of_parquet_and_missing_ones(tmp_path: Path) -> None:
    table = {"day": [date(1970, 1, 3), None], "time": [datetime(1970, 1, 2, 12), datetime(1970, 1, 3)], "y": ["a", "b"]}
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    data = make(tmp_path / "a.parquet", "y", missing="median", **PLAIN)
    assert served(data.train_set).tolist() == [[2, 1.5], [2, 2]]


def test_dates_that_may_be_read_in_two_ways_are_no_input(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("when,x,y\n3/4/2020,1.5,a\n5/6/2020,2.5,b\n")
    assert make(tmp_path / "a.csv", "y", **PLAIN).input_names == ("x",)


def leaking(tmp_path: Path, values: Any, targets: Any, **options: Any) -> list[str]:
    generator = np.random.default_rng(0)
    noise = generator.random(len(targets)).tolist()
    parquet.write_table(pa.table({"x": values, "noise": noise, "y": targets}), tmp_path / "a.parquet")
    data = TableDataModule(str(tmp_path / "a.parquet"), "y", missing="median", **options)
    handler = logging.Handler()
    records: list[str] = []
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("lightning_template.engine.files.table_leaks")
    logger.addHandler(handler)
    try:
        data.setup("fit")
    finally:
        logger.removeHandler(handler)
    return records


CLASSES = [("a", "b", "c")[index * 7 % 3] for index in range(30)]
LEAKS: dict[str, tuple[list[Any], bool]] = {
    "the class by a code": (["pqr"["abc".index(kind)] for kind in CLASSES], True),
    "the class by a number": ([10 * "abc".index(kind) for kind in CLASSES], True),
    "parts of a class": ([f"{kind}{index % 4}" for index, kind in enumerate(CLASSES)], True),
    "cuts": ([100 * "abc".index(kind) + index for index, kind in enumerate(CLASSES)], True),
    "no value for a class": ([None if kind == "a" else "cb".index(kind) + 5 for kind in CLASSES], True),
    "all but one": (
        [10 * "abc".index(kind) * (index > 0) + 10 * (index == 0) for index, kind in enumerate(CLASSES)],
        False,
    ),
    "numbers that differ": ([float((index * 17) % 31) + 0.5 for index in range(30)], False),
    "two of three classes": ([0 if kind == "a" else 1 for kind in CLASSES], False),
    "constant": ([3.5] * 30, False),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_column_that_tells_the_class_is_warned_of(case: str, tmp_path: Path) -> None:
    values, is_leak = LEAKS[case]
    told = leaking(tmp_path, values, CLASSES)
    what = "column 'x' alone tells the target: leave it out of `inputs` if it is not known beforehand"
    assert told == [f"{tmp_path / 'a.parquet'}: {what}"] * is_leak


def test_a_column_that_tells_a_number_is_warned_of(tmp_path: Path) -> None:
    targets = np.random.default_rng(1).random(50)
    for values, is_leak in (
        ((-3 * targets + 7).round(4).tolist(), True),
        ([None, *(5 * targets[1:]).tolist()], True),
        ((targets + 0.1 * np.random.default_rng(2).random(50)).tolist(), False),
        (["p", "q"] * 25, False),
        ([1.5] * 50, False),
    ):
        assert len(leaking(tmp_path, values, targets.tolist(), task="regression")) == is_leak
    assert leaking(tmp_path, (-3 * targets[:19]).tolist(), targets[:19].tolist(), task="regression") == []


def test_a_run_has_its_medians_and_categories_again(command: Command, workspace: Path, titanic: Path) -> None:
    titanic.write_text("\n".join([TITANIC.splitlines()[0], *TITANIC.splitlines()[1:] * 4]))
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TableDataModule", f"--data.path={titanic}"),
        *("--data.targets=Survived", "--data.missing=median"),
        "--data.inputs=[Pclass,Sex,Age,Fare,Embarked]",
        *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=2"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network.in_features=8"),
        *("--model.network.out_features=2", "--callbacks.dashboard=null"),
    )
    assert fitted.status == 0, fitted.err
    run = "lightning_logs/default/version_0"
    for args in (["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2"], ["test", f"--ckpt_path={run}"]):
        assert command(*args).status == 0
    (workspace / "new.csv").write_text(TITANIC.replace("Survived", "unknown").replace(",Q", ",X"))
    predicted = command("predict", f"--ckpt_path={run}", "--input=new.csv")
    assert predicted.status == 0, predicted.err
    assert "column 'Embarked': values that the training set lacks count as none of its categories: 'X'" in predicted.err
    state = torch.load(f"{run}/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    names = ["Pclass", "Sex", "Age", "Fare", "Embarked"]
    data = TableDataModule(str(titanic), "Survived", missing="median", inputs=names)
    data.setup("fit")
    assert data.columns is not None
    inputs = data.transform(data.columns.read_file(workspace / "new.csv"))
    weight, bias = state.values()
    probabilities = torch.softmax(inputs @ weight.T + bias, 1)
    lines = (workspace / run / "predictions.csv").read_text().splitlines()
    columns = lines[0].replace('"', "").split(",")
    written = [float(line.split(",")[columns.index("probability_of_1")]) for line in lines[1:]]
    np.testing.assert_allclose(written, probabilities[:, 1], rtol=1e-4)

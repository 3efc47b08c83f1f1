"""Tables with thousands separators, signs, comments and other things that people write, against what they mean."""

import csv
import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_messy_tables import served
from test_table import make

from array_data import PLAIN_MLP
from conftest import Command
from lightning_template.load import load_run
from lightning_template.networks import CategoryMLP

PLAIN = {"normalize": False, "val_fraction": 0.0, "test_fraction": 0.0}


def write(path: Path, cells: list[str], separator: str = ",") -> Path:
    """Write cells as the column `x`, beside classes `a` and `b` in turn, with Python's own writer."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([["x", "y"], *([cell, "ab"[index % 2]] for index, cell in enumerate(cells))])
    return path


NUMBERS: dict[str, tuple[list[str], str, list[float]]] = {
    "thousands": (["1,234.5", "2,000", "3", "-12,345,678.25"], ",", [1234.5, 2000, 3, -12345678.25]),
    "thousands alone": (["1,234", "2,000", "3,111"], ",", [1234, 2000, 3111]),
    "thousands in a text with semicolons": (["1,234.50", "999.25"], ";", [1234.5, 999.25]),
    "European thousands": (["1.234,5", "2.000", "3", "12.345.678,25"], ";", [1234.5, 2000, 3, 12345678.25]),
    "European thousands alone": (["1.234.567", "2.000.000"], ";", [1234567, 2000000]),
    "spaces": (["1 234.5", "2\u00a0000", "3\u202f000"], ",", [1234.5, 2000, 3000]),
    "Swiss": (["1'234.5", "2'000", "3\u2019000"], ",", [1234.5, 2000, 3000]),
    "decimal commas in quotes": (["1,5", "22,25"], ",", [1.5, 22.25]),
    "some like thousands": (["1,500", "0,250"], ",", [1.5, 0.25]),
    "three decimals": (["1,500", "2,250"], ";", [1.5, 2.25]),
    "per cent": (["12%", "13.5 %", "-7%"], ",", [12, 13.5, -7]),
    "dollars": (["$1,200.50", "-$3", "$ 4"], ",", [1200.5, -3, 4]),
    "euros": (["1.200,50 €", "3 €"], ";", [1200.5, 3]),
    "minus of typesetters": (["\u22121.5", "2", "\u22123"], ",", [-1.5, 2, -3]),
    "exponents": (["+1", "1e3", "1E-2", ".5"], ",", [1, 1000, 0.01, 0.5]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_what_is_meant(case: str, tmp_path: Path) -> None:
    cells, separator, numbers = NUMBERS[case]
    data = make(write(tmp_path / "a.csv", cells, separator), "y", **PLAIN)
    assert served(data.train_set).flatten().tolist() == pytest.approx(numbers, rel=1e-6)
    targets = make(tmp_path / "a.csv", "x", inputs=["y"], task="regression", **PLAIN)
    assert targets.train_set is not None
    assert targets.train_set.targets.flatten().tolist() == pytest.approx(numbers, rel=1e-6)


def test_a_decimal_comma_elsewhere_tells_what_points_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x;z;y\n1.234;1,5;a\n12.345;2,5;b\n")
    assert served(make(tmp_path / "a.csv", "y", **PLAIN).train_set).tolist() == [[1234, 1.5], [12345, 2.5]]


@pytest.mark.parametrize("cells", [["0.998", "1,5"], ["01.234", "1,5"], ["$1", "2 €"], ["1,23", "1,2345.6"]])
def test_what_is_not_clear_is_no_number(cells: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", cells, ";")
    with pytest.raises(ValueError, match=r"a\.csv, line [23], column 'x': must hold|column 'x': no input"):
        make(path, "y", **PLAIN)


@pytest.mark.parametrize("sign", ["-", "--", ".", "..", "n.a.", "\\N", "#DIV/0!", "NAN"])
def test_more_signs_of_a_missing_number(sign: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["1", sign, "3", "5"])
    assert served(make(path, "y", missing="median", **PLAIN).train_set).tolist() == [[1], [3], [3], [5]]
    with pytest.raises(ValueError, match="line 3, column 'x': must hold a value; 1 of 4 rows lack one in 'x'"):
        make(path, "y", **PLAIN)


TEXTS: dict[str, tuple[str, list[list[float]]]] = {
    "comments": ("# made, by\n# somebody\nx,y\n1.5,a\n2,b\n", [[1.5], [2]]),
    "names in a comment": ("# made by numpy\n# x,y\n1.5,0\n2,1\n", [[1.5], [2]]),
    "the line of Excel": ("sep=;\nx;y\n1,5;a\n2;b\n", [[1.5], [2]]),
    "spaces before quotes": ('"x", "z", "y"\n1.5, "2,500", "a"\n2, "3", "b"\n', [[1.5, 2500], [2, 3]]),
    "spaces around": (" x , y \n 1.5 , a \n2, b \n", [[1.5], [2]]),
    "empty columns": ("x,y,,\n1.5,a,,\n2,b,,\n", [[1.5], [2]]),
    "an empty column": ("x,y,\n1.5,a,\n2,b,\n", [[1.5], [2]]),
    "newlines in quotes": ('x,note,y\n1.5,"a\nb",a\n2,"c\nd",b\n', [[1.5], [2]]),
    "old Macs": ("x,y\r1.5,a\r2,b\r", [[1.5], [2]]),
}


@pytest.mark.parametrize("case", TEXTS)
def test_rows_are_what_is_meant(case: str, tmp_path: Path) -> None:
    text, expected = TEXTS[case]
    (tmp_path / "A.CSV").write_bytes(text.encode())
    data = make(tmp_path / "A.CSV", "y", **PLAIN)
    assert data.train_set is not None
    assert served(data.train_set).tolist() == expected
    assert data.train_set.targets.tolist() == [0, 1]


@pytest.mark.parametrize("text", ["# one\n\nx,y\n1,a\nthree,b\n2,a\n", "sep=,\n#\n#x,y\n1,0\nthree,1\n2,1\n"])
def test_lines_keep_their_numbers(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"line 5, column 'x': must hold a number.*, got 'three'"):
        make(tmp_path / "a.csv", "y", **PLAIN)


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", "x,y\n1,a\n")
    for name, message in {
        "a.csv": "it is a zip archive or an Excel file: unpack it, or export the sheet as CSV",
        "a.csv.zip": "got .*a.csv.zip; unpack the archive",
        "a.xlsx": "got .*a.xlsx; export the sheet as CSV",
    }.items():
        (tmp_path / name).write_bytes(stream.getvalue())
        with pytest.raises(ValueError, match=message):
            make(tmp_path / name, "y")


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,leak,z,y\n1.5,1,3,a\n2.5,2,4,b\n")
    assert make(tmp_path / "a.csv", "y", exclude=["leak"], **PLAIN).input_names == ("x", "z")
    with pytest.raises(ValueError, match=r"has no column 'leaks', did you mean 'leak'\?"):
        make(tmp_path / "a.csv", "y", exclude=["leaks"])


def test_classes_that_differ_by_capitals_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,Yes\n2,no\n3.5,yes\n4,maybe\n")
    assert make(tmp_path / "a.csv", "y", **PLAIN).class_names == ("Yes", "maybe", "no", "yes")
    assert "classes that differ by capitals alone are different classes: 'Yes', 'yes'" in caplog.text


DATES = {
    "31/01/2020": "%d/%m/%Y",
    "01/31/2020": "%m/%d/%Y",
    "31-01-2020": "%d-%m-%Y",
    "2020/01/31": "%Y/%m/%d",
    "31.1.20": "%d.%m.%y",
    "31-Jan-2020": "%d-%b-%Y",
    "31 January 2020": "%d %B %Y",
    "Jan 31, 2020": "%b %d, %Y",
    "31.01.2020 12:00": "%d.%m.%Y %H:%M",
}


@pytest.mark.parametrize("cell", DATES)
def test_dates_in_any_writing(cell: str, tmp_path: Path) -> None:
    noon = 0.5 if ":" in cell else 0
    data = make(write(tmp_path / "a.csv", [cell, "-"], "\t"), "y", missing="median", **PLAIN)
    assert served(data.train_set).flatten().tolist() == [18292 + noon, 18292 + noon]
    assert data.columns is not None
    assert data.columns.forms["x"] == DATES[cell]


def test_a_prediction_reads_dates_and_signs_as_training_did(tmp_path: Path) -> None:
    path, new = tmp_path / "a.csv", tmp_path / "new.csv"
    path.write_text("when,share,code,y\n" + "13/2/2020,5%,007,a\n2/3/2020,60%,A1,b\n" * 3)
    data = make(path, "y", **PLAIN)
    assert data.columns is not None
    new.write_text("when,share,code\n3/4/2020,7%,007\n5/4/2020,8%,007\n")  # alone, these dates may be American
    march, april = (np.datetime64(day).astype(int) for day in ("2020-04-03", "2020-04-05"))
    assert data.columns.read_file(new).tolist() == [[march, 7, 1, 0], [april, 8, 1, 0]]
    for row, message in {
        "4/13/2020,7%,007": "column 'when': must hold a date as in training, %d/%m/%Y",
        "2020,7%,007": "column 'when': must hold a date as in training, %d/%m/%Y, got int64",
        "3/4/2020,0.07,007": "column 'share': must hold a number with %, got double",
        "3/4/2020,7 percent,007": "line 2, column 'share': must hold a number with %",
    }.items():
        new.write_text(f"when,share,code\n{row}\n")
        with pytest.raises(ValueError, match=message):
            data.columns.read_file(new)


def test_dates_that_may_be_read_in_two_ways_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "a.csv").write_text("when,x,y\n" + "3/4/2020,1.5,a\n5/6/2020,2.5,b\n" * 4)
    assert make(tmp_path / "a.csv", "y", **PLAIN).input_names == ("x",)
    assert "column 'when': no input, as it is dates where day or month may come first: write them as" in caplog.text


CITIES = "city,x,size,y\nRome,1.5,S,a\nParis,2.5,M,b\nRome,,L,a\nParis,4,S,b\n,5,M,a\n"


def test_categories_as_indices(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CITIES)
    options: dict[str, Any] = {"inputs": ["city", "x", "size"], "val_fraction": 0.0, "test_fraction": 0.0}
    data = make(tmp_path / "a.csv", "y", categories="index", missing="indicator", **options)
    assert data.input_names == ("x", "city is missing", "x is missing", "city", "size")
    assert data.cardinalities == (3, 4)
    inputs = served(data.train_set)
    assert inputs[:, 3:].tolist() == [[2, 3], [1, 2], [2, 1], [1, 3], [0, 2]]  # Paris, Rome; L, M, S
    assert inputs[:, 1:3].tolist() == [[0, 0], [0, 0], [0, 1], [0, 0], [1, 0]]
    (tmp_path / "new.csv").write_text("city,x,size\nOslo,1,S\n")
    assert data.columns is not None
    assert data.transform(data.columns.read_file(tmp_path / "new.csv"))[0, 3:].tolist() == [0, 3]
    assert make(tmp_path / "a.csv", "y", missing="median", **PLAIN).cardinalities == ()


def test_a_network_looks_categories_up() -> None:
    network = CategoryMLP(4, [3, 5], [], 2, embedding_features=2)
    inputs = torch.tensor([[0.5, -1.0, 2.0, 4.0], [1.5, 2.0, 0.0, 1.0]])
    first, second = (embedding.get_parameter("weight").detach() for embedding in network.embeddings)
    known = torch.stack([torch.cat([torch.tensor([0.5, -1]), first[2], second[4]])])
    torch.testing.assert_close(network(inputs)[:1], network.mlp(known))
    with pytest.raises(ValueError, match=r"need inputs of single precision, got torch\.bfloat16"):
        network(inputs.bfloat16())


def test_a_fit_with_indices(command: Command, workspace: Path) -> None:
    (workspace / "a.csv").write_text(CITIES + CITIES.split("\n", 1)[1] * 5)
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TableDataModule", "--data.path=a.csv", "--data.targets=y"),
        *("--data.categories=index", "--data.missing=median"),
        *("--model=lightning_template.tasks.ClassificationTask", "--model.num_classes=2"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network=lightning_template.networks.CategoryMLP"),
        *PLAIN_MLP[1:],
    )
    assert fitted.status == 0, fitted.err
    network: Any = load_run("lightning_logs/default/version_0").task.network
    assert [embedding.num_embeddings for embedding in network.embeddings] == [3, 4]
    assert network.num_numbers == 1

"""Columns of what `predict_step` returns, and files of tables whose parts differ."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from pyarrow import parquet
from torch.nn.utils.rnn import pack_sequence

from lightning_template.engine.prediction import table_file
from lightning_template.engine.prediction.columns import named_columns
from lightning_template.engine.prediction.table_file import TableFile

A, B = torch.arange(3.0), torch.arange(6).view(3, 2)


class Two(NamedTuple):
    a: Any
    b: Any


@dataclass
class Record:
    a: Any
    b: Any


class Graph:
    def __init__(self) -> None:
        self.x, self.edges = A, torch.zeros(2, 7)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": A}, ["a"]),
        ({"a": A, "b": B}, ["a", "b_0", "b_1"]),
        ({"y": {"a": A, "b": {"c": B}}}, ["y_a", "y_b_c_0", "y_b_c_1"]),
        ({"y": (A, A)}, ["y_0", "y_1"]),
        ({"y": [A, A, A]}, ["y_0", "y_1", "y_2"]),  # as many as samples, and yet one for each of three targets
        ({"y": Two(A, B)}, ["y_a", "y_b_0", "y_b_1"]),
        ({"y": Record(A, "all")}, ["y_a"]),
        ({"y": Graph()}, ["y_0"]),
        ({"y": {"logits": A, "loss": torch.tensor(1.0), "hidden": torch.zeros(12, 3, 4)}}, ["y_logits"]),
        ({"name": ["x", "y", "z"], "a": A}, ["name", "a"]),
        ({"tags": [[1, 2], [], [3]]}, ["tags"]),
        ({"y": pack_sequence([A[:2], A[:1], A], enforce_sorted=False)}, ["y"]),
        ({"kind": torch.tensor([1, 0, 1]), "y": {"kind": torch.tensor([0, 2, 0])}}, ["kind", "kind_name", "y_kind"]),
    ],
)
def test_there_is_a_column_for_each_tensor_of_samples(given: Any, expected: list[str]) -> None:
    columns = named_columns(given, ["ant", "bee"] if "kind" in given else [])
    assert list(columns) == expected
    assert {len(column) for column in columns.values()} == {3}


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ((A,), {"prediction": [0, 1, 2]}),
        ((A, -A), {"prediction_0": [0, 1, 2], "prediction_1": [0, -1, -2]}),
        ([A, -A], {"prediction_0": [0, 1, 2], "prediction_1": [0, -1, -2]}),  # two outputs of three samples
        ([A, -A, A], {"prediction_0": [0, 0, 0], "prediction_1": [1, -1, 1], "prediction_2": [2, -2, 2]}),
    ],
)
def test_outputs_without_names_are_columns_or_samples(outputs: Any, expected: dict[str, list[float]]) -> None:
    columns = named_columns(outputs, [], num_samples=3)
    assert {name: np.asarray(column).tolist() for name, column in columns.items()} == expected


def test_values_are_those_of_their_samples() -> None:
    packed = pack_sequence([A[:2], A[:1], A], enforce_sorted=False)
    columns = named_columns({"tags": [[1, 2], [], [3]], "y": packed, "b": B}, [])
    assert columns["tags"] == [[1, 2], [], [3]]
    assert columns["y"] == [[0, 1], [0], [0, 1, 2]]
    np.testing.assert_array_equal(columns["b_1"], [1, 3, 5])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"loss": torch.tensor(1.0)}, "`predict_step` must return a tensor, or a list, with an item for each sample"),
        ({"a": A, "b": B.T}, "`predict_step` must return 3 values in b, got 2"),
        ({"a": A, "b": torch.tensor(1.0)}, "`predict_step` must return 3 values in b, got 1"),
        ({"a": A, "b": ["x"]}, "`predict_step` must return 3 values in b, got 1"),
    ],
)
def test_what_makes_no_column_is_told(given: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{expected}$"):
        named_columns(given, [])


def written(path: Path, *parts: dict[str, Any]) -> dict[str, list[Any]]:
    table = TableFile(path, path.suffix)
    for part in parts:
        table.write(part)
    assert table.close()
    if path.suffix == ".parquet":
        found: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
        return found
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] or None for row in rows] for name in rows[0]}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_may_lack_columns(suffix: str, tmp_path: Path) -> None:
    narrow = {"x_0": np.array([1]), "y": np.array([5])}
    wide = {"x_0": np.array([2, 3]), "x_1": np.array([7, 8]), "y": np.array([6, 7])}
    found = written(tmp_path / f"x.{suffix}", narrow, wide, narrow)
    as_text = str if suffix == "csv" else int
    expected: dict[str, list[Any]] = {"x_0": [1, 2, 3, 1], "x_1": [None, 7, 8, None], "y": [5, 6, 7, 5]}
    assert list(found) == list(expected)  # numbered columns lie beside one another
    assert found == {name: [v if v is None else as_text(v) for v in column] for name, column in expected.items()}


def test_columns_keep_their_order_where_all_rows_have_them(tmp_path: Path) -> None:
    part = {name: np.array([1]) for name in ("x1", "y1", "x2", "y2")}
    assert list(written(tmp_path / "x.csv", part, part)) == ["x1", "y1", "x2", "y2"]


def test_several_values_are_a_cell(tmp_path: Path) -> None:
    part = {"tags": [[1, 2], [], ["=x"]]}
    assert written(tmp_path / "x.csv", part) == {"tags": ["1 2", None, "=x"]}
    assert written(tmp_path / "x.parquet", {"tags": [[1, 2], [], [3]]}) == {"tags": [[1, 2], [], [3]]}


def test_what_no_longer_fits_into_memory_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "MAX_WAITING", 20)
    narrow, wide = {"a": np.arange(2)}, {"a": np.arange(2), "b": np.arange(2)}
    found = written(tmp_path / "x.parquet", narrow, wide, narrow, narrow)  # the first two are written together
    assert found == {"a": [0, 1] * 4, "b": [None, None, 0, 1, None, None, None, None]}
    with pytest.raises(
        ValueError, match=r"^rows after the first 0 MB have a new column c: let `prediction_columns` re"
    ):
        written(tmp_path / "y.parquet", wide, wide, {"a": np.arange(2), "b": np.arange(2), "c": np.arange(2)})


def test_a_table_that_is_discarded_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (0, 2**26):
        monkeypatch.setattr(table_file, "MAX_WAITING", limit)
        table = TableFile(tmp_path / "x.csv", ".csv")
        table.write({"a": np.arange(2)})
        table.discard()
        assert not list(tmp_path.iterdir())
        assert not table.close()

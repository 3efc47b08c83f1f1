"""The table of predictions: which row is whose, over several batches of different sizes."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from lightning_template.callbacks import PredictionWriter
from lightning_template.engine.prediction import prediction_writer

NAMES = ("ant", "bee", "cow")
PROBABILITIES = np.random.default_rng(0).dirichlet([1, 2, 3], size=70).astype(np.float32)
SIZES = [4, 64, 2]


def write(
    path: Path, columns: dict[str, Tensor], figure: Path | None = None, given: Any = None, **datamodule: Any
) -> None:
    """Write columns in batches, as a Trainer would have it."""
    trainer: Any = SimpleNamespace(
        fast_dev_run=False,
        datamodule=SimpleNamespace(**datamodule),
        callbacks=[],
        is_global_zero=True,
        world_size=1,
        num_predict_batches=[3],
    )
    module: Any = None
    writer = PredictionWriter()
    writer.inputs = given
    writer.write_to(str(path), str(figure) if figure else None)
    writer.setup(trainer, module, "predict")
    writer.on_predict_start(trainer, module)
    inputs = torch.arange(70.0).view(70, 1, 1, 1).expand(70, 1, 2, 2)
    parts = {name: torch.split(values, SIZES) for name, values in columns.items()}
    for number, batch in enumerate(torch.split(inputs, SIZES)):
        writer.on_predict_batch_end(
            trainer, module, {name: part[number] for name, part in parts.items()}, batch, number
        )
    writer.on_predict_end(trainer, module)


def columns_of_classes() -> dict[str, Tensor]:
    probabilities = torch.from_numpy(PROBABILITIES)
    highest = probabilities.max(dim=1)
    return {"prediction": highest.indices, "probability": highest.values, "probability_of": probabilities}


def read(path: Path) -> dict[str, list[Any]]:
    if path.suffix == ".parquet":
        table: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
        return table
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_row_is_of_its_sample(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"y.{suffix}"
    files = [f"photos/{number}.png" for number in range(70)]
    write(path, columns_of_classes(), given=SimpleNamespace(files=files), class_names=NAMES)
    table = read(path)
    assert list(table) == [
        *("index", "file", "prediction", "prediction_name", "probability"),
        *(f"probability_of_{name}" for name in NAMES),
    ]
    assert [int(index) for index in table["index"]] == list(range(70))
    assert table["file"] == files
    best = PROBABILITIES.argmax(axis=1)
    assert [int(index) for index in table["prediction"]] == best.tolist()
    assert table["prediction_name"] == [NAMES[index] for index in best]
    np.testing.assert_allclose(np.array(table["probability"], float), PROBABILITIES.max(axis=1), rtol=1e-5)
    for position, name in enumerate(NAMES):
        found = np.array(table[f"probability_of_{name}"], float)
        np.testing.assert_allclose(found, PROBABILITIES[:, position], rtol=1e-5)


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    values = torch.arange(140.0).view(70, 2)
    whole = torch.arange(70) % 3 - 1  # some are no class
    write(tmp_path / "y.csv", {"value": values.bfloat16(), "kind": whole, "score": values[:, :1]}, class_names=NAMES)
    table = read(tmp_path / "y.csv")
    assert list(table)[:4] == ["index", "value_0", "value_1", "kind"]
    assert table["value_1"][:3] == ["1", "3", "5"]
    assert table["kind"][:4] == ["-1", "0", "1", "-1"]
    np.testing.assert_allclose(np.array(table["score"], float), values[:, 0], rtol=1e-6)
    assert {"kind_name", "score_name", "value_name"}.isdisjoint(table)
    assert not list(tmp_path.glob(".*"))


def test_the_figure_shows_the_first_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def draw(*args: Any) -> Any:
        drawn.extend(args)
        return SimpleNamespace(savefig=lambda path: None)

    monkeypatch.setattr(prediction_writer, "_draw", draw)
    write(tmp_path / "y.csv", columns_of_classes(), tmp_path / "y.png", class_names=NAMES)
    inputs, predictions, names = drawn
    assert inputs[:, 0, 0, 0].tolist() == list(range(60))
    np.testing.assert_array_equal(predictions, PROBABILITIES[:60])
    assert names == NAMES


def test_several_ranks_are_refused_where_a_table_is_written() -> None:
    ranks: Any = SimpleNamespace(world_size=2)
    module: Any = None
    for stage in ("fit", "validate", "test"):
        PredictionWriter().setup(ranks, module, stage)
    with pytest.raises(ValueError, match=r"`predict` writes one table: use --trainer.devices 1, got 2 ranks"):
        PredictionWriter().setup(ranks, module, "predict")

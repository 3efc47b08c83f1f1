"""Images that a table names, checked against the images and numbers that were written."""

import csv
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_image_folder import SIZE, write_images

from array_data import PLAIN_MLP
from conftest import Command
from lightning_template.datamodules import ImageFolderDataModule

NUMBERS = np.random.default_rng(7).normal(size=12).round(3)


def write_table(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A folder of 12 images, and their pixels."""
    return tmp_path / "images", write_images(tmp_path / "images", 12)


def make(folder: Path, table: Path, **options: Any) -> ImageFolderDataModule:
    defaults: dict[str, Any] = {"image_size": SIZE, "val_fraction": 0.0, "test_fraction": 0.0, "normalize": False}
    data = ImageFolderDataModule(str(folder), **(defaults | {"table": str(table)} | options))
    data.setup("fit")
    return data


def served(data: ImageFolderDataModule, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return pixels `(N, height, width, 3)` and targets of a part, in their order."""
    batches = getattr(data, f"{part}_set")
    stored = batches.inputs.index_select(0, batches.indices)
    return stored.numpy().transpose(0, 2, 3, 1), batches.targets[batches.indices].numpy()


WRITINGS: dict[str, Callable[[int], str]] = {
    "files": lambda index: f"{index:03}.png",
    "no ending": lambda index: f"{index:03}",
    "with the folder": lambda index: f"images/{index:03}.png",
    "of another machine": lambda index: f"C:\\data\\images\\{index:03}.png",
    "a dot before": lambda index: f"./{index:03}.png",
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("memory_limit", [0, 10**9])
def test_regression_in_any_writing_of_names(
    writing: str, memory_limit: int, folder: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    root, images = folder
    order = [5, 0, 11, 3, 4, 2, 1, 7, 8, 9, 10, 6]
    rows = [[index, NUMBERS[index], WRITINGS[writing](index), "a note"] for index in order]
    table = write_table(tmp_path / "table.csv", ["id", "height", "image", "note"], rows)
    data = make(root, table, targets="height", task="regression", memory_limit=memory_limit)
    pixels, targets = served(data)
    np.testing.assert_array_equal(pixels, images[order])
    np.testing.assert_allclose(targets, NUMBERS[order, None], rtol=1e-6)
    assert (data.class_names, data.num_classes, data.num_targets, data.input_shape) == (None, 0, 1, (3, *SIZE))


def test_several_numbers_and_a_table_beside_the_images(folder: tuple[Path, np.ndarray]) -> None:
    root, _ = folder
    rows = [[f"{index:03}.png", NUMBERS[index], index] for index in range(12)]
    write_table(root / "table.csv", ["file", "height", "width"], rows)
    data = make(root, Path("table.csv"), targets=["width", "height"], task="regression")
    np.testing.assert_allclose(served(data)[1], np.stack([range(12), NUMBERS], 1), rtol=1e-6)
    assert data.num_targets == 2


def test_classes_and_parts_of_a_table(tmp_path: Path) -> None:
    images = {name: write_images(tmp_path / f"images/{name}", 3, seed) for seed, name in enumerate(["a", "b", "c"])}
    parts = {"a": "train", "b": "Test", "c": "validation"}
    rows = [[f"{name}/{index:03}", parts[name], ("dog", "cat")[index % 2]] for name in "cab" for index in range(3)]
    data = make(
        tmp_path / "images", write_table(tmp_path / "table.csv", ["name", "split", "kind"], rows), test_fraction=None
    )
    for name, part in (("a", "train"), ("b", "test"), ("c", "val")):
        pixels, targets = served(data, part)
        np.testing.assert_array_equal(pixels, images[name])
        assert targets.tolist() == [1, 0, 1]
    assert (data.class_names, data.num_classes, data.num_targets) == (("cat", "dog"), 2, 0)


def test_numbers_name_images(folder: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    root, images = folder
    for index in range(12):
        (root / f"{index:03}.png").rename(root / f"{1000 + index}.png")
    rows = [[1000 + index, "ab"[index % 2]] for index in range(12)]
    pixels, _ = served(make(root, write_table(tmp_path / "table.csv", ["id", "breed"], rows)))
    np.testing.assert_array_equal(pixels, images)


def test_images_that_are_missing_or_left_over(
    folder: tuple[Path, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, images = folder
    rows = [[f"{index:03}.png", index / 4] for index in range(2, 14)]
    table = write_table(tmp_path / "table.csv", ["image", "height"], rows)
    message = r"table.csv: 2 of 12 rows name images that are not in .*images, such as '012.png', '013.png'; `--d"
    with pytest.raises(ValueError, match=message):
        make(root, table, task="regression")
    (root / "005.png").write_bytes(b"no image")
    caplog.set_level(logging.INFO)
    pixels, targets = served(make(root, table, task="regression", skip_damaged=True))
    kept = [2, 3, 4, 6, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(pixels, images[kept])
    np.testing.assert_allclose(targets, np.array(kept)[:, None] / 4)
    for told in ("'013.png': they are left out", "2 images are left alone, as ", "skipped: ", "005.png"):
        assert told in caplog.text


def test_an_image_that_is_named_again_is_told(
    folder: tuple[Path, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [[f"{index % 6:03}.png", index] for index in range(12)]
    make(folder[0], write_table(tmp_path / "table.csv", ["image", "height"], rows), task="regression")
    assert "6 rows name an image again" in caplog.text


ROWS = [[f"{index:03}.png", index / 4, "ab"[index % 2]] for index in range(12)]
MISTAKES: dict[str, tuple[list[list[Any]], dict[str, Any], str]] = {
    "no target": (ROWS, {}, r"name the column to predict with `--data.targets`, one of \['height', 'kind'\]"),
    "no images": (
        [[f"no{row[0]}", *row[1:]] for row in ROWS],
        {"targets": "kind"},
        "no column names images in .*, such as '000.png'",
    ),
    "unknown column": (ROWS, {"targets": "kinds"}, "has no column 'kinds', did you mean 'kind'"),
    "empty cell": (
        [*ROWS[:5], ["005.png", "", "a"]],
        {"targets": "height"},
        "line 7, column 'height'",
    ),
    "text": (
        [*ROWS[:5], ["005.png", "x", "a"]],
        {"targets": "height", "task": "regression"},
        "line 7, column 'height'",
    ),
    "one class": (
        [[*row[:2], "a"] for row in ROWS],
        {"targets": "kind"},
        "column 'kind': the target is the same in all",
    ),
    "several classes": (ROWS, {"targets": ["height", "kind"]}, "must name one column, or several for regression"),
    "no table": (ROWS, {"targets": "kind", "name": "none.csv"}, "there is no file .*none.csv"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_table_of_images(mistake: str, folder: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    rows, options, message = MISTAKES[mistake]
    options = options.copy()
    write_table(tmp_path / "table.csv", ["image", "height", "kind"], rows)
    with pytest.raises(ValueError, match=message):
        make(folder[0], tmp_path / options.pop("name", "table.csv"), **options)


def test_names_and_parts_that_are_not_clear(tmp_path: Path) -> None:
    for name in "ab":
        write_images(tmp_path / "images" / name, 2)
    table = write_table(
        tmp_path / "t.csv", ["image", "split", "y"], [["a/000.png", "train", 1], ["001.png", "train", 2]]
    )
    with pytest.raises(ValueError, match=r"t.csv: '001.png' may be .*a/001.png or .*b/001.png: name the folder too"):
        make(tmp_path / "images", table, task="regression")
    write_table(table, ["image", "split", "y"], [["a/000.png", "train", 1], ["a/001.png", "fold 1", 2]])
    with pytest.raises(ValueError, match=r"column 'split': must say train, test or val, got 'fold 1'"):
        make(tmp_path / "images", table, task="regression")
    write_table(table, ["image", "split", "y"], [["a/000.png", "test", 1], ["a/001.png", "val", 2]])
    with pytest.raises(ValueError, match=r"no row is of the training set; column 'split' has \['test', 'val'\]"):
        make(tmp_path / "images", table, task="regression")
    with pytest.raises(ValueError, match="are columns of a `table`: give its path too"):
        ImageFolderDataModule(str(tmp_path), 4, task="regression")


def test_digests_are_of_table_and_images(folder: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", ["image", "y"], [[row[0], row[1]] for row in ROWS[:6]])

    def digests() -> dict[str, Any]:
        return ImageFolderDataModule(str(folder[0]), 4, table=str(table), task="regression").data_digests()

    before = digests()
    Image.new("RGB", (4, 4)).save(folder[0] / "009.png")  # which the table does not name
    assert digests() == before
    Image.new("RGB", (4, 4)).save(folder[0] / "002.png")
    assert digests()["table"] == before["table"]
    assert digests()["images"] != before["images"]
    write_table(table, ["image", "y"], [[row[0], row[1]] for row in ROWS[:5]])
    assert digests()["table"] != before["table"]


def test_a_fit_and_a_prediction(folder: tuple[Path, np.ndarray], tmp_path: Path, command: Command) -> None:
    table = write_table(tmp_path / "table.csv", ["image", "height", "kind"], ROWS)
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.ImageFolderDataModule", f"--data.data_dir={folder[0]}"),
        *(f"--data.table={table}", "--data.targets=height", "--data.task=regression", "--data.image_size=[5,6]"),
        *("--model=lightning_template.tasks.RegressionTask", *PLAIN_MLP, "--model.loss=torch.nn.MSELoss"),
        *("--model.network.in_features=90", "--model.network.out_features=1"),
    )
    assert fitted.status == 0, fitted.err
    predicted = command(
        *("predict", "--ckpt_path=lightning_logs/default/version_0", f"--input={folder[0]}", "--output=p.csv")
    )
    assert predicted.status == 0, predicted.err
    assert len(list(csv.DictReader(Path("p.csv").read_text().splitlines()))) == 12

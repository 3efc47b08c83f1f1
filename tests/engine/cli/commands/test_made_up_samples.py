"""Samples that `new task` makes up."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_template.engine.cli.commands.samples import write_samples


def test_images_of_circles_and_squares(tmp_path: Path) -> None:
    write_samples("image-folder", tmp_path / "made" / "images", "classification")
    files = sorted((tmp_path / "made" / "images").glob("*/*.png"))
    assert [file.parent.name for file in files] == ["circle"] * 80 + ["square"] * 80
    assert {file.name for file in files} == {f"{number:03}.png" for number in range(80)}
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (32, 32, 3)
        inside = (pixels == pixels.max(axis=(0, 1))).all(axis=-1)
        assert (pixels[~inside] < 100).all()
        assert (pixels[inside] >= 150).all()
        rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
        assert rows == columns  # a side of 2 radius + 1
        assert 11 <= rows <= 17
        assert (inside.sum() == rows * columns) == (file.parent.name == "square")


def test_sizes_in_a_table_are_those_of_the_images(tmp_path: Path) -> None:
    write_samples("image-folder", tmp_path, "regression")
    header, *rows = (tmp_path / "table.csv").read_text().splitlines()
    assert (header, len(rows)) == ("file,size", 160)
    for row in rows:
        file, size = row.split(",")
        with Image.open(tmp_path / file) as image:
            pixels = np.asarray(image)
        assert (pixels == pixels.max(axis=(0, 1))).all(axis=-1).any(axis=1).sum() == int(size)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_numbers_and_a_target_that_depends_on_them(task: str, tmp_path: Path) -> None:
    write_samples("tensors", tmp_path / "a.npz", task)
    write_samples("csv", tmp_path / "a.csv", task)
    arrays = np.load(tmp_path / "a.npz")
    inputs, targets = arrays["inputs"], arrays["targets"]
    assert (inputs.shape, inputs.dtype, targets.shape) == ((160, 4), np.float32, (160,))
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "a,b,c,d,target"
    cells = [row.split(",") for row in rows]
    assert np.allclose(np.array([row[:4] for row in cells], float), inputs, atol=1e-4)
    expected = inputs @ [1, -2, 0.5, 0]
    ends = [row[4] for row in cells]
    if task == "regression":
        assert np.abs(targets - expected).std() < 0.1
        assert np.allclose(np.array(ends, float), targets, atol=1e-4)
    else:
        assert targets.dtype == np.int64
        assert ((expected > 0) == targets).mean() > 0.95
        assert ends == ["high" if target else "low" for target in targets]


def test_labels_of_which_several_may_hold(tmp_path: Path) -> None:
    write_samples("tensors", tmp_path / "a.npz", "multilabel")
    write_samples("csv", tmp_path / "a.csv", "multilabel")
    inputs, targets = np.load(tmp_path / "a.npz").values()
    assert np.array_equal(targets, inputs[:, :3] > 0)
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "a,b,c,d,red,green,blue"
    assert [row.split(",")[4:] for row in rows] == targets.astype(str).tolist()


@pytest.mark.parametrize(
    ("task", "shape", "target_shape"),
    [
        ("segmentation", (160, 1, 16, 16), (160, 16, 16)),
        ("sequence-labelling", (160, 12), (160, 12)),
        ("pairs", (160, 2, 4), (160,)),
    ],
)
def test_arrays_for_other_kinds(
    task: str, shape: tuple[int, ...], target_shape: tuple[int, ...], tmp_path: Path
) -> None:
    write_samples("tensors", tmp_path / "a.npz", task)
    inputs, targets = np.load(tmp_path / "a.npz").values()
    assert (inputs.shape, targets.shape, targets.dtype) == (shape, target_shape, np.int64)
    if task == "segmentation":
        assert np.array_equal(targets, inputs[:, 0] > 0)
    elif task == "sequence-labelling":
        assert np.array_equal(targets == -100, inputs == 0)
        assert np.array_equal(targets == 1, inputs > 9)
        lengths = (inputs != 0).sum(1)
        assert all((row[:length] > 0).all() for row, length in zip(inputs, lengths, strict=True))
    else:
        assert 0.05 < (inputs[:, 0] - inputs[:, 1]).std() < 0.3

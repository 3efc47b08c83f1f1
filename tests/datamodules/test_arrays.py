"""Arrays as people have them, checked against the arrays that were written."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_tensors import make

from array_data import PLAIN_MLP, write
from conftest import Command
from lightning_template.engine.files import ArrayFile
from lightning_template.engine.files.array_roles import find_roles

PLAIN = {"normalize": False, "val_fraction": 0.0, "test_fraction": 0.0}
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
PIXELS = RANDOM.integers(0, 256, (60, 8, 6), dtype=np.uint8)


def served(data: Any, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets of a part, in their order."""
    batches = getattr(data, f"{part}_set")
    inputs = batches.transform(batches.inputs.index_select(0, batches.indices))
    return inputs.numpy(), batches.targets[batches.indices].numpy()


ROLES: dict[str, tuple[list[tuple[str, tuple[int, ...]]], dict[str, tuple[str, str]]]] = {
    "letters": ([("y", (9,)), ("x", (9, 4))], {"train": ("x", "y")}),
    "Keras": (
        [("x_test", (5, 4)), ("x_train", (9, 4)), ("y_train", (9, 1)), ("y_test", (5, 1))],
        {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
    ),
    "MedMNIST": (
        [(f"{part}_{kind}", (9,)) for part in ("train", "val", "test") for kind in ("images", "labels")],
        {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")},
    ),
    "no separator": (
        [("Xtrain", (9, 2)), ("ytrain", (9,)), ("testX", (3, 2)), ("testY", (3,))],
        {"train": ("Xtrain", "ytrain"), "test": ("testX", "testY")},
    ),
    "others beside": ([("data", (9, 4)), ("names", (9,)), ("labels", (9,))], {"train": ("data", "labels")}),
    "shapes alone": ([("a", (9,)), ("b", (9, 4))], {"train": ("b", "a")}),
    "one name": ([("values", (9, 4)), ("target", (9, 2)), ("scale", (4,))], {"train": ("values", "target")}),
    "inputs of a test": (
        [("X_train", (9, 4)), ("y_train", (9,)), ("X_test", (5, 4))],
        {"train": ("X_train", "y_train")},
    ),
    "one feature": ([("x", (9,)), ("y", (9,))], {"train": ("x", "y")}),
}


@pytest.mark.parametrize("case", ROLES)
def test_names_and_shapes_tell_roles(case: str, tmp_path: Path) -> None:
    shapes, expected = ROLES[case]
    file = ArrayFile(write(tmp_path / "a.npz", {name: np.zeros(shape) for name, shape in shapes}))
    assert find_roles(file, (None, None), (None, None)) == expected


@pytest.mark.parametrize(
    "shapes", [{"a": (9, 4), "b": (9, 4)}, {"a": (9, 4), "b": (9,), "c": (9,)}, {"a": (9, 4), "b": (8,)}, {"x": (9, 4)}]
)
def test_what_is_not_certain_is_refused_with_names_and_shapes(shapes: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", {name: np.zeros(shape) for name, shape in shapes.items()})
    with pytest.raises(ValueError, match=r"with `--data.inputs` and `--data.targets`; it has ") as caught:
        make(path)
    assert str(caught.value).endswith(", ".join(f"{name} {shape}" for name, shape in shapes.items()))
    if shapes != {"x": (9, 4)}:
        assert find_roles(ArrayFile(path), ("b", "a"), (None, None))["train"] == ("b", "a")


def test_names_that_are_given_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", {"x": X, "y": Y, "other": 2 * X, "grade": Y[::-1].copy()})
    inputs, targets = served(make(path, inputs="other", targets="grade", **PLAIN))
    np.testing.assert_array_equal(inputs, 2 * X)
    np.testing.assert_array_equal(targets, Y[::-1])
    with pytest.raises(ValueError, match=r"has no array 'grades', did you mean 'grade'\? It has 'x', 'y'"):
        make(path, targets="grades")


@pytest.mark.parametrize("name", ["folder", "folder/inputs.npy"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "float16"])
def test_files_of_one_array_are_mapped(name: str, dtype: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    values = np.asfortranarray(X.astype(dtype))
    np.save(tmp_path / "folder/inputs.npy", values)
    np.save(tmp_path / "folder/targets.npy", Y)
    data = make(tmp_path / name, **PLAIN)
    inputs, targets = served(data)
    np.testing.assert_array_equal(inputs, values.astype(np.float32))
    np.testing.assert_array_equal(targets, Y)
    assert list(data.data_digests()) == ["inputs.npy", "targets.npy"]
    before = data.data_digests()
    np.save(tmp_path / "folder/other.npy", Y)  # which is not used
    assert data.data_digests() == before
    np.save(tmp_path / "folder/targets.npy", Y[::-1])
    assert data.data_digests() != before


def test_mistakes_in_files_of_one_array(tmp_path: Path) -> None:
    for name in ("cut", "text", "objects", "pairs"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "y.npy", Y)
        np.save(tmp_path / name / "x.npy", X)
    cut = tmp_path / "cut/x.npy"
    cut.write_bytes(cut.read_bytes()[:-8])
    (tmp_path / "text/x.npy").write_text("a,b\n1,2\n")
    np.save(tmp_path / "objects/y.npy", np.array(["a", "b"] * 30, object))
    np.save(tmp_path / "pairs/x.npy", np.zeros(60, [("a", float), ("b", int)]))
    for name, message in {
        "cut": r"x.npy claims shape \(60, 4\) of float32, 960 bytes, but holds 952",
        "text": "x.npy cannot be read: the magic string is not correct",
        "objects": r"y.npy must hold real numbers, got Python objects, .*; for text, save `array.astype\(str\)`",
        "pairs": r"array 'x' must hold real numbers, got \[\('a', '<f8'\), \('b', '<i8'\)\]",
        "none": "there is no file .*none",
    }.items():
        with pytest.raises(ValueError, match=message):
            make(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no .npy files in the folder .*empty"):
        make(tmp_path / "empty")


PAIRS: dict[str, Any] = {
    "a pair": (torch.from_numpy(X), torch.from_numpy(Y)),
    "a dict": {"y": Y.tolist(), "x": torch.from_numpy(X)},
    "parts": {"train": {"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}},
    "pairs": {"train": (torch.from_numpy(X), torch.from_numpy(Y))},
}


@pytest.mark.parametrize("case", PAIRS)
def test_nests_of_tensors(case: str, tmp_path: Path) -> None:
    torch.save(PAIRS[case], tmp_path / "a.pt")
    inputs, targets = served(make(tmp_path / "a.pt", **PLAIN))
    np.testing.assert_array_equal(inputs, X)
    np.testing.assert_array_equal(targets, Y)


CLASSES: dict[str, tuple[np.ndarray, dict[str, Any], tuple[str, ...] | None]] = {
    "text": (np.array(["dog", "cat ", "owl"])[[1, 0, 2]][Y], {}, ("cat", "dog", "owl")),
    "bytes": (np.array([b"a", b"b", b"c"])[Y], {}, ("a", "b", "c")),
    "a column": (Y[:, None].astype(np.uint8), {}, None),
    "from 1": (Y + 1, {}, ("1", "2", "3")),
    "below 0": (10 * Y - 10, {}, ("-10", "0", "10")),
    "floats": (Y.astype(float), {"task": "classification"}, None),
    "one-hot": (np.eye(3)[Y], {"task": "classification"}, None),
    "one-hot integers": (np.eye(3, dtype=int)[Y], {"task": "classification"}, None),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_in_any_writing(case: str, tmp_path: Path) -> None:
    written, options, names = CLASSES[case]
    data = make(write_any(tmp_path, x=X, y=written), **options, **PLAIN)
    assert served(data)[1].tolist() == Y.tolist()
    assert (data.class_names, data.num_classes, data.num_targets) == (names, 3, 0)


def write_any(folder: Path, **values: np.ndarray) -> Path:
    path: Path = write(folder / "a.npz", values)
    return path


def test_two_values_of_truth_are_classes(tmp_path: Path) -> None:
    data = make(write_any(tmp_path, x=X, y=Y > 0), **PLAIN)
    assert served(data)[1].tolist() == (Y > 0).tolist()
    assert data.class_names == ("False", "True")
    several = make(write_any(tmp_path, x=X, y=X > 0), **PLAIN)
    np.testing.assert_array_equal(served(several)[1], X > 0)
    assert (several.num_classes, several.num_targets) == (0, 4)


def test_numbers_to_predict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for written, options in ((X[:, 0].astype(float), {}), (Y, {"task": "regression"}), (X[:, :2], {})):
        data = make(write_any(tmp_path, x=X, y=written), **options, **PLAIN)
        np.testing.assert_allclose(served(data)[1], written.reshape(60, -1), rtol=1e-6)
        assert (data.num_classes, data.num_targets) == (0, written.size // 60)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (Y.astype(float), "floating-point targets are numbers to predict; give `--data.task classification` if they"),
        (np.eye(3, dtype=int)[Y], "looks one-hot; give `--data.task classification` to take each row for one class"),
    ],
)
def test_what_may_be_meant_otherwise_is_told(
    written: np.ndarray, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(write_any(tmp_path, x=X, y=written), **PLAIN)
    assert told in caplog.text


@pytest.mark.parametrize(
    ("task", "written", "message"),
    [
        ("regression", np.array(["a", "b"] * 30), "numbers to predict must be numbers, got text such as 'a'"),
        ("classification", X[:, 0], "classes must be whole numbers or text, got "),
        (None, np.array([["a", "b"]] * 60), r"names of classes must be \(N,\), got text of shape \(60, 2\)"),
    ],
)
def test_targets_of_another_kind_are_refused(task: Any, written: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"array 'y': {message}"):
        make(write_any(tmp_path, x=X, y=written), task=task)


def test_classes_of_a_test_are_those_of_training(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    path = write_any(tmp_path, x_train=X, y_train=names[Y], x_test=X[:2], y_test=np.array(["c", "b"]))
    assert served(make(path, normalize=False, val_fraction=0.0), "test")[1].tolist() == [2, 1]
    write_any(tmp_path, x_train=X, y_train=names[Y], x_test=X[:2], y_test=np.array(["c", "d"]))
    with pytest.raises(ValueError, match="array 'y_test': class 'd' is none of training, which has a, b, c"):
        make(path)
    write_any(tmp_path, x_train=X, y_train=X, x_test=X[:2], y_test=X[:2, :3])
    with pytest.raises(ValueError, match=r"test targets must be like those for training, torch.float32 \(4,\), got"):
        make(path)


LAYOUTS: dict[str, tuple[np.ndarray, str | None, np.ndarray, str]] = {
    "bytes": (PIXELS, None, PIXELS[:, None] / 255, "are taken for grey images"),
    "bytes, told": (PIXELS, "channels_first", PIXELS / 255, ""),
    "floats": (PIXELS.astype(float), None, PIXELS, ""),
    "square floats": (PIXELS[:, :6].astype(float), None, PIXELS[:, :6], "is taken for sequences of 6 channels"),
    "floats, told": (PIXELS.astype(float), "no_channels", PIXELS[:, None], ""),
    "channels last": (
        np.stack([PIXELS] * 3, -1),
        None,
        np.stack([PIXELS] * 3, 1) / 255,
        "is taken for images with channels last",
    ),
    "one channel last": (PIXELS[..., None], None, PIXELS[:, None] / 255, "is taken for images with channels last"),
    "steps last": (PIXELS.astype(float), "channels_last", PIXELS.transpose(0, 2, 1), ""),
    "one value": (X[:, 0], None, X[:, :1], ""),
    "truth": (X > 0, None, X > 0, ""),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_channels_are_found_or_told(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written, layout, expected, told = LAYOUTS[case]
    caplog.set_level(logging.INFO)
    data = make(write_any(tmp_path, x=written, y=Y), layout=layout, **PLAIN)
    inputs, _ = served(data)
    np.testing.assert_allclose(inputs, expected, rtol=1e-6)
    assert (str(inputs.dtype), data.input_shape) == ("float32", expected.shape[1:])
    messages = " ".join(record.getMessage() for record in caplog.records)
    assert told in messages
    assert bool(messages) == bool(told)
    reader = data.file_reader()
    np.save(tmp_path / "new.npy", written[:5])
    np.testing.assert_allclose(data.transform(reader.read_file(tmp_path / "new.npy")), expected[:5], rtol=1e-6)


def test_a_layout_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`layout: channels_last` needs \(N, ..., channels\), got \(60, 4\)"):
        make(write_any(tmp_path, x=X, y=Y), layout="channels_last")


def test_inputs_to_predict_are_found(tmp_path: Path) -> None:
    data = make(write_any(tmp_path, x=X, y=Y), **PLAIN)
    read = data.file_reader().read_file
    np.testing.assert_array_equal(read(write(tmp_path / "same.npz", {"x": X[:3], "z": X[:5]})), X[:3])
    np.testing.assert_array_equal(read(write(tmp_path / "other.npz", {"new": X[:5], "ids": Y})), X[:5])
    with pytest.raises(ValueError, match=r"two.npz: inputs must be \(N, ...\) of \(4,\), got a \(60, 4\), b \(60, 4\)"):
        read(write(tmp_path / "two.npz", {"a": X, "b": X}))
    np.save(tmp_path / "sub.npy", X[:, :2])
    with pytest.raises(ValueError, match=r"sub.npy: inputs must be .* of \(4,\), got sub \(60, 2\)"):
        read(tmp_path / "sub.npy")


def test_names_of_classes_reach_predictions(command: Command, workspace: Path) -> None:
    write(workspace / "a.npz", {"X_train": X, "y_train": np.array(["cat", "dog", "owl"])[Y]})
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TensorsDataModule", "--data.path=a.npz"),
        *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=3"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network.in_features=4", "--model.network.out_features=3"),
    )
    assert fitted.status == 0, fitted.err
    np.save("new.npy", X[:4])
    predicted = command(
        *("predict", "--ckpt_path=lightning_logs/default/version_0", "--input=new.npy", "--output=table.csv")
    )
    assert predicted.status == 0, predicted.err
    rows = list(csv.DictReader(Path("table.csv").read_text().splitlines()))
    assert [row["prediction_name"] for row in rows] == [["cat", "dog", "owl"][int(row["prediction"])] for row in rows]
    assert len(rows) == 4

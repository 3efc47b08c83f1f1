"""Files of arrays, checked against the arrays that were written."""

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from array_data import PLAIN_MLP, arrays, write
from conftest import Command
from lightning_template.datamodules import TensorsDataModule


def make(path: Path, **options: Any) -> TensorsDataModule:
    data = TensorsDataModule(str(path), **{"batch_size": 100, "shuffle": False} | options)
    data.setup("fit")
    return data


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_classification(suffix: str, tmp_path: Path) -> None:
    values = arrays()
    data = make(write(tmp_path / f"data.{suffix}", values))
    assert data.train_set is not None
    used = data.train_set.indices.numpy()
    assert len(used) == 24  # 3 of 30 are for the test, 3 of 27 for validation
    inputs, targets = next(iter(data.train_dataloader()))
    raw = values["inputs"][used]
    expected = (raw - raw.mean((0, 2), keepdims=True)) / raw.std((0, 2), keepdims=True)
    np.testing.assert_allclose(inputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(targets, values["targets"][used])
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert (data.num_classes, data.input_shape) == (3, (2, 4))


@pytest.mark.parametrize("suffix", ["pt", "npz"])
@pytest.mark.parametrize("names", [{}, {name: name.replace("puts", "") for name in ("inputs", "test_inputs")}])
def test_a_test_set_of_its_own(suffix: str, names: dict[str, str], tmp_path: Path) -> None:
    test = {f"test_{name}": array for name, array in arrays(9).items()}
    values = {names.get(name, name): array for name, array in (arrays() | test).items()}
    options = names | {"test_targets": "test_targets"} if names else {}
    data = make(write(tmp_path / f"data.{suffix}", values), **options, normalize=False, val_fraction=0.0)
    assert data.train_set is not None
    assert len(data.train_set) == 30
    (inputs, targets), *_ = data.test_dataloader()
    np.testing.assert_allclose(inputs, test["test_inputs"], rtol=1e-6)
    np.testing.assert_array_equal(targets, test["test_targets"])


def test_numbers_to_predict_have_the_shape_of_outputs(tmp_path: Path) -> None:
    for shape, served in (((30,), (24, 1)), ((30, 2), (24, 2))):
        values = arrays() | {"targets": np.random.default_rng(0).random(shape)}
        _, targets = next(iter(make(write(tmp_path / "data.npz", values)).train_dataloader()))
        assert (targets.dtype, tuple(targets.shape)) == (torch.float32, served)


@pytest.mark.parametrize(
    ("dtype", "served", "scale"),
    [
        ("uint8", torch.float32, 255),
        ("uint16", torch.int64, 1),
        ("int64", torch.int64, 1),
        ("bool", torch.float32, 1),
        ("float16", torch.float32, 1),
        (">f8", torch.float32, 1),
    ],
)
def test_inputs_of_any_dtype(dtype: str, served: torch.dtype, scale: int, tmp_path: Path) -> None:
    values = arrays()
    values["inputs"] = np.random.default_rng(0).integers(0, 2, (30, 2, 4)).astype(dtype)
    path = write(tmp_path / "data.npz", values)
    data = make(path, normalize=False)
    assert data.train_set is not None
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs.dtype == served
    used = values["inputs"][data.train_set.indices].astype(float)
    np.testing.assert_allclose(inputs, used / scale, rtol=1e-6)
    inputs, _ = next(iter(make(path).train_dataloader()))
    expected = (used - used.mean((0, 2), keepdims=True)) / used.std((0, 2), keepdims=True)
    np.testing.assert_allclose(inputs, expected, rtol=1e-5, atol=1e-6)


def test_statistics_come_from_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = arrays()
    values["inputs"] = 1e9 + values["inputs"]  # squares of it lose all that differs
    path = write(tmp_path / "data.pt", values)
    whole = make(path)
    for module in ("checks", "statistics"):
        monkeypatch.setattr(f"lightning_template.engine.batches.{module}.CHUNK_BYTES", 8 * 8 * 7)
    chunks = make(path)
    assert whole.train_set is not None
    assert chunks.std is not None
    assert whole.std is not None
    expected = values["inputs"][whole.train_set.indices].std((0, 2))
    np.testing.assert_allclose(chunks.std.flatten(), expected, rtol=1e-6)
    np.testing.assert_allclose(whole.std.flatten(), expected, rtol=1e-6)
    values["inputs"][17, 1, 2] = np.nan
    with pytest.raises(ValueError, match="training inputs must be finite, but not so in 1 samples, first 17"):
        make(write(tmp_path / "data.pt", values))


def test_arrays_that_are_not_used_are_told_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write(tmp_path / "data.npz", arrays() | dict.fromkeys("hbfadgce", np.zeros(1)))
    make(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: arrays that are not used: a, b, c, d, e, f, g, h"
    ]


MISTAKES: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "lengths": ({"targets": np.arange(29)}, r"for N samples, got \(30, 2, 4\) and \(29,\)"),
    "empty": ({"inputs": np.ones((0, 2)), "targets": np.ones(0)}, r"got \(0, 2\) and \(0,\)"),
    "scalar": ({"targets": np.array(3)}, r"got \(30, 2, 4\) and \(\)"),
    "objects": (
        {"targets": np.array([None] * 30)},
        "array 'targets' must hold real numbers, got Python objects",
    ),
    "text": ({"inputs": np.array(["a", "b"] * 15)}, "array 'inputs' must hold real numbers, got text"),
    "complex": ({"inputs": np.ones((30, 2), complex)}, "array 'inputs' must hold real numbers, got complex128"),
    "NaN": ({"targets": np.full(30, np.nan)}, "training targets must be finite, but not so in 30 samples, first 0"),
    "one class": (
        {"targets": np.ones(30, int)},
        "the target is the same in all 30 samples: there is nothing to learn",
    ),
    "constant": ({"targets": np.ones(30)}, "the target is the same in all 30 samples"),
    "negative class": (
        {"targets": np.full((30, 2), [1, -2])},
        "class indices of each position are from 0, or -100 for none, got -2",
    ),
    "too many classes": (
        {"inputs": np.ones((1001, 2)), "targets": np.arange(1001)},
        "1001 different values are more than 1000 classes: give `--data.task regression` if they are quantities",
    ),
    "test shape": (
        {"test_inputs": np.ones((5, 2)), "test_targets": np.arange(5) % 3},
        r"test inputs must be like those for training, torch.float64 \(2, 4\), got torch.float64 \(2,\)",
    ),
    "test class": (
        {"test_inputs": np.ones((5, 2, 4)), "test_targets": np.arange(5)},
        "array 'test_targets': has class 4, but the training ones end at 2",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_arrays_are_named(mistake: str, tmp_path: Path) -> None:
    spoiled, message = MISTAKES[mistake]
    values = arrays() | spoiled
    with pytest.raises(ValueError, match=message):
        make(write(tmp_path / "data.npz", values))


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_mistakes_in_files_are_named(tmp_path: Path) -> None:
    single = io.BytesIO()
    np.save(single, np.ones(3))
    whole = saved({"inputs": torch.ones(100)})
    cases = {
        "array.pt": (saved(torch.ones(3)), "array.pt must hold a dict of named arrays or a pair of them, got Tensor"),
        "list.pt": (saved({"inputs": [1, 2], "targets": torch.ones(3)}), r"samples, got \(2,\) and \(3,\)"),
        "code.pt": (saved({"inputs": Path()}), "code.pt must hold tensors and nothing else: Weights only load failed"),
        "pickle.pt": (pickle.dumps({"inputs": 1}), "pickle.pt must be a whole file"),
        "cut.pt": (whole[:-30], "cut.pt must be a whole file"),
        "empty.pt": (b"", "empty.pt must be a whole file"),
        "empty.npz": (b"", "empty.npz must be a whole file"),
        "cut.npz": ((write(tmp_path / "whole.npz", arrays())).read_bytes()[:-30], "cut.npz must be a whole file"),
        "array.npz": (single.getvalue(), "array.npz must be a whole file from `torch.save` or `numpy.savez`"),
        "data.h5": (single.getvalue(), "must lie in a file that ends in .pt, .npz or .npy, or in a folder, got .*h5"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            make(tmp_path / name)
    with pytest.raises(ValueError, match=r"there is no file .*none\.pt"):
        make(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="`test_inputs` and `test_targets` go together, got x and None"):
        TensorsDataModule("data.npz", test_inputs="x")


def test_a_large_file_is_mapped_not_read(tmp_path: Path) -> None:
    data = make(write(tmp_path / "data.pt", arrays()))
    assert data.train_set is not None
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no list of what is mapped here")
    assert str(tmp_path / "data.pt") in maps.read_text()


def test_a_fit_from_the_command_line(command: Command, workspace: Path) -> None:
    write(workspace / "data.npz", arrays())
    fitted = command(
        *("fit", "--data=lightning_template.datamodules.TensorsDataModule", "--data.path=data.npz"),
        *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=3"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network.in_features=8", "--model.network.out_features=3"),
    )
    assert fitted.status == 0, fitted.err
    tested = command("test", "--ckpt_path=lightning_logs/default/version_0")
    assert tested.status == 0, tested.err

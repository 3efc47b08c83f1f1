"""What is read for prediction looks as in training: proportions, axes, channels, order and scale."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_template.datamodules import (
    FashionMNISTDataModule,
    ImageFolderDataModule,
    LineDataModule,
    TableDataModule,
    TensorsDataModule,
)
from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.prediction import FilesToPredict

RED, GREEN = (200, 0, 0), (0, 100, 0)


def served(data: InMemoryDataModule, *paths: Path, invert: bool = False) -> Tensor:
    """Return what is served for prediction from some files."""
    FilesToPredict(data, [str(path) for path in paths], invert)
    data.setup("predict")
    loader: Any = data.predict_dataloader()
    return torch.cat(list(loader))


@pytest.mark.parametrize("is_tall", [True, False])
@pytest.mark.parametrize("invert", [True, False])
def test_a_photo_keeps_its_proportions(is_tall: bool, invert: bool, tmp_path: Path) -> None:
    pixels = np.full((40, 20), 55 if invert else 200, np.uint8)  # 28 x 14 when it fits, with 7 black ones on each side
    Image.fromarray(pixels if is_tall else pixels.T).save(tmp_path / "photo.png")
    (image,) = served(FashionMNISTDataModule(), tmp_path / "photo.png", invert=invert)
    expected = np.zeros((28, 28))
    expected[:, 7:21] = 200 / 255
    np.testing.assert_allclose(image[0], expected if is_tall else expected.T, atol=1e-6)


def test_what_is_beside_a_photo_is_black_on_the_scale_of_the_data(tmp_path: Path) -> None:
    Image.new("L", (20, 40), 200).save(tmp_path / "photo.png")
    (image,) = served(FashionMNISTDataModule(normalize=True), tmp_path / "photo.png")
    assert image[0, 14, 14].item() == pytest.approx((200 / 255 - 0.2860) / 0.3530, rel=1e-4)
    assert image[0, 14, 0].item() == pytest.approx(-0.2860 / 0.3530, rel=1e-4)


def write_classes(folder: Path) -> Path:
    """Write images 12 wide and 8 high: of class a with a red left half, of class b with a green upper half."""
    pixels = {"a": np.zeros((8, 12, 3), np.uint8), "b": np.zeros((8, 12, 3), np.uint8)}
    pixels["a"][:, :6] = RED
    pixels["b"][:4] = GREEN
    for name, image in pixels.items():
        (folder / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("limit", [0, 10**9])
@pytest.mark.parametrize("normalize", [True, False])
def test_images_are_stretched_and_scaled_as_in_training(normalize: bool, limit: int, tmp_path: Path) -> None:
    folder = write_classes(tmp_path)
    data = ImageFolderDataModule(
        str(folder), (8, 6), normalize=normalize, memory_limit=limit, test_fraction=0.2, shuffle=False, batch_size=99
    )
    images = served(data, folder / "b" / "3.png", folder / "a")
    assert images.shape == (6, 3, 8, 6)
    loader: Any = data.predict_dataloader()
    assert isinstance(loader.dataset.inputs, Tensor) == (limit > 0)
    given = FilesToPredict(data, [str(folder / "b" / "3.png"), str(folder / "a")])
    given.loader()
    assert given.files == [str(folder / name) for name in ("b/3.png", *(f"a/{number}.png" for number in range(5)))]
    trained, targets = next(iter(data.train_dataloader()))
    assert torch.equal(images[0], trained[targets == 1][0])
    assert torch.equal(images[1], trained[targets == 0][0])
    if not normalize:
        assert (images[0, 1, :4] == 100 / 255).all()  # the upper half is green: rows are rows
        assert (images[0, 1, 4:] == 0).all()
        assert (images[1, 0, :, :2] == 200 / 255).all()  # the left half is red
        assert (images[1, 0, :, 4:] == 0).all()
        inverted = served(data, folder / "b" / "3.png", invert=True)
        np.testing.assert_allclose(inverted[0], 1 - images[0], atol=1e-6)


@pytest.mark.parametrize("test_own", [True, False])
def test_statistics_are_of_the_training_samples_alone(test_own: bool, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 2, 3)) * 10.0 ** np.arange(40)[:, None, None]
    arrays: dict[str, Any] = {"inputs": inputs, "targets": np.arange(40) % 2}
    if test_own:
        arrays |= {"test_inputs": 1e50 + inputs, "test_targets": np.arange(40) % 2}
    np.savez(tmp_path / "data.npz", **arrays)
    data = TensorsDataModule(str(tmp_path / "data.npz"), val_fraction=0.25)
    data.setup("fit")
    assert data.train_set is not None
    assert data.mean is not None
    assert data.std is not None
    used = inputs[data.train_set.indices]
    assert len(used) == (30 if test_own else 27)
    np.testing.assert_allclose(data.mean.flatten(), used.mean((0, 2)), rtol=1e-9)
    np.testing.assert_allclose(data.std.flatten(), used.std((0, 2)), rtol=1e-9)


def test_columns_are_those_of_the_names_in_any_order(tmp_path: Path) -> None:
    rows = [f"{number},{number**2},{'pq'[number % 2]},{100 - number % 7}" for number in range(3, 30)]
    (tmp_path / "data.csv").write_text("\n".join(["b,a,kind,c", *rows]))
    (tmp_path / "new.csv").write_text("c,kind,a,b\n3,p,1,2\n6,q,4,5\n")
    data = TableDataModule(str(tmp_path / "data.csv"), "kind", inputs=["c", "b", "a"], normalize=False)
    assert served(data, tmp_path / "new.csv").tolist() == [[3, 2, 1], [6, 5, 4]]


def test_a_line_takes_the_column_x(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("y,x\n7,1\n8,2\n")
    assert served(LineDataModule(), tmp_path / "new.csv").tolist() == [[1], [2]]
    (tmp_path / "only.csv").write_text("speed\n5\n6\n")
    assert served(LineDataModule(), tmp_path / "only.csv").tolist() == [[5], [6]]


def test_batches_for_prediction_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("x\n" + "\n".join(map(str, range(11))))
    data = LineDataModule(eval_batch_size=4)
    assert served(data, tmp_path / "new.csv").flatten().tolist() == list(range(11))
    assert [len(batch) for batch in data.predict_dataloader()] == [4, 4, 3]


def test_classes_keep_their_numbers_where_a_part_lacks_one(tmp_path: Path) -> None:
    for part, names in (("train", "abc"), ("test", "bc"), ("val", "c")):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / part / name / f"{number}.png")
    data = ImageFolderDataModule(str(tmp_path), 2)
    data.setup("fit")
    sets = (data.train_set, data.test_set, data.val_set)
    found = [part.targets.tolist() for part in sets if part is not None]
    assert found == [[0, 0, 1, 1, 2, 2], [1, 1, 2, 2], [2, 2]]


def test_validation_on_the_test_set_takes_no_training_sample() -> None:
    data = LineDataModule(val_fraction=0.0, val_on_test=True, num_points=30)
    data.setup("fit")
    assert data.train_set is not None
    assert data.train_set.indices.tolist() == list(range(30))
    assert data.val_set is not None
    assert data.test_set is not None
    assert data.val_set.inputs is data.test_set.inputs
    assert torch.equal(data.val_set.indices, data.test_set.indices)

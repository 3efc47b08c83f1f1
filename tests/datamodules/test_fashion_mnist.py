"""FashionMNIST, checked against torchvision on the same files."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import datasets
from torchvision.transforms import Compose, Normalize, ToTensor

from conftest import NUM_TEST, NUM_TRAIN
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.datamodules.fashion_mnist import MEAN, STD


def make_data(data_dir: Path | str, **options: Any) -> FashionMNISTDataModule:
    data = FashionMNISTDataModule(str(data_dir), **{"val_fraction": 0.0, "shuffle": False} | options)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def unpacked(fashion_mnist: Path, tmp_path: Path) -> Path:
    """The folder of the same files as torchvision reads them."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (fashion_mnist / "FashionMNIST" / "raw").glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return tmp_path


@pytest.mark.parametrize("normalize", [False, True])
def test_images_and_labels_are_torchvisions(fashion_mnist: Path, unpacked: Path, normalize: bool) -> None:
    data = make_data(fashion_mnist, normalize=normalize, batch_size=10, eval_batch_size=7)
    transform = Compose([ToTensor(), Normalize((0.2860,), (0.3530,))]) if normalize else ToTensor()
    for train, loader in ((True, data.train_dataloader()), (False, data.test_dataloader())):
        expected = datasets.FashionMNIST(str(unpacked), train=train, transform=transform)
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert len(images) == len(labels) == len(expected) == (NUM_TRAIN if train else NUM_TEST)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        wanted = torch.stack([image for image, _ in expected])
        if normalize:
            torch.testing.assert_close(images, wanted, rtol=0, atol=1e-6)
        else:
            assert torch.equal(images, wanted)
        assert labels.tolist() == [label for _, label in expected]


def test_shapes_and_ranges(fashion_mnist: Path) -> None:
    data = make_data(fashion_mnist)
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (64, *data.input_shape) == (64, 1, 28, 28)
    assert 0 <= images.min() < 0.1
    assert 0.7 < images.max() <= 1
    assert set(labels.tolist()) == set(range(data.num_classes))
    assert data.train_set is not None
    assert data.train_set.inputs.dtype == torch.uint8  # 47 MB, not 188


def test_normalised_is_less_the_mean_over_the_deviation(fashion_mnist: Path) -> None:
    plain, normalised = (
        next(iter(make_data(fashion_mnist, normalize=normalize).train_dataloader()))[0] for normalize in (False, True)
    )
    torch.testing.assert_close(normalised * 0.3530 + 0.2860, plain, rtol=0, atol=1e-6)
    assert normalised.min() < 0


def test_classes_are_torchvisions() -> None:
    assert list(FashionMNISTDataModule.class_names) == datasets.FashionMNIST.classes
    assert FashionMNISTDataModule.num_classes == len(datasets.FashionMNIST.classes)


def test_data_dir_may_begin_with_the_home_folder(fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fashion_mnist.parent))
    data = make_data(f"~/{fashion_mnist.name}")
    assert data.data_dir == fashion_mnist
    assert len(data.train_dataloader()) == 2  # of 96 images


def test_validation_images_are_kept_from_training(fashion_mnist: Path) -> None:
    data = make_data(fashion_mnist, val_fraction=0.25)
    assert data.train_set is not None
    assert data.val_set is not None
    assert (len(data.train_set), len(data.val_set)) == (72, 24)
    assert sorted([*data.train_set.indices.tolist(), *data.val_set.indices.tolist()]) == list(range(NUM_TRAIN))


@pytest.mark.slow
def test_mean_and_deviation_are_those_of_the_real_pixels() -> None:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.exists():
        pytest.skip(f"no real data in {folder}")
    data = make_data(folder)
    assert data.train_set is not None
    pixels = data.train_set.inputs.double() / 255
    assert pixels.mean().item() == pytest.approx(MEAN, abs=1e-4)
    assert pixels.std().item() == pytest.approx(STD, abs=1e-4)

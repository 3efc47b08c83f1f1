"""Folders of images, checked against arrays that the images were made of."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from array_data import PLAIN_MLP
from conftest import Command
from lightning_template.datamodules import ImageFolderDataModule
from lightning_template.engine.files.image_files import find_images
from lightning_template.transforms import RandomHorizontalFlip

SIZE = (5, 6)
FORKS = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def write_images(folder: Path, number: int, seed: int = 0) -> np.ndarray:
    """Write images of bytes `(number, 5, 6, 3)` and return them."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(seed).integers(0, 256, (number, *SIZE, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03}.png")
    return images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, of 12 and 8 images."""
    write_images(tmp_path / "images/cats", 12, seed=0)
    write_images(tmp_path / "images/dogs", 8, seed=1)
    return tmp_path / "images"


def make(folder: Path, **options: Any) -> ImageFolderDataModule:
    defaults: dict[str, Any] = {"image_size": SIZE, "batch_size": 4, "eval_batch_size": 3}
    data = ImageFolderDataModule(str(folder), **(defaults | options))
    data.setup("fit")
    return data


def everything(data: ImageFolderDataModule) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of two epochs of training, then those of validation, test and prediction."""
    train: Any = data.train_dataloader()
    batches: list[tuple[Tensor, Tensor]] = []
    for epoch in range(2):
        (train.batch_sampler or train.sampler).set_epoch(epoch)
        batches += list(train)
    evaluation: list[Any] = [data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()]
    return batches + [batch for loader in evaluation for batch in loader]


def test_labels_stay_where_a_part_lacks_a_class(tmp_path: Path) -> None:
    for name in ("ants", "bees", "cows"):
        write_images(tmp_path / "train" / name, 2)
    write_images(tmp_path / "test/bees", 2)
    write_images(tmp_path / "test/cows", 1)
    write_images(tmp_path / "val/cows", 2)
    data = make(tmp_path, shuffle=False)
    assert data.class_names == ("ants", "bees", "cows")
    for part, expected in ((data.train_set, [0, 0, 1, 1, 2, 2]), (data.test_set, [1, 1, 2]), (data.val_set, [2, 2])):
        assert part is not None
        assert part.targets.tolist() == expected


def test_images_are_those_of_the_files(tmp_path: Path) -> None:
    cats, dogs = write_images(tmp_path / "cats", 3), write_images(tmp_path / "dogs", 2, seed=1)
    data = make(tmp_path, normalize=False, shuffle=False, val_fraction=0.0, test_fraction=0.0)
    batches = list(data.train_dataloader())
    images, targets = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    expected = np.concatenate([cats, dogs]).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(images, expected, rtol=1e-6)
    assert targets.tolist() == [0, 0, 0, 1, 1]
    assert (data.class_names, data.num_classes, data.input_shape) == (("cats", "dogs"), 2, (3, 5, 6))


def test_the_parts_share_the_images(folder: Path) -> None:
    data = make(folder, normalize=False, shuffle=False, val_fraction=0.25, test_fraction=0.2)
    loaders: list[Any] = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    parts = [torch.cat([x for x, _ in loader]) for loader in loaders]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert len({image.numpy().tobytes() for part in parts for image in part}) == 20
    other = make(folder, normalize=False, shuffle=False, val_fraction=0.25, test_fraction=0.2, seed=1)
    assert not torch.equal(torch.cat([x for x, _ in other.test_dataloader()]), parts[2])


@pytest.mark.parametrize("limit", [0, 10**9])
def test_mean_and_deviation_are_those_of_the_training_images(folder: Path, limit: int) -> None:
    data = make(folder, memory_limit=limit, val_fraction=0.25, test_fraction=0.2)
    assert data.train_set is not None
    paths = [path for name in ("cats", "dogs") for path in sorted((folder / name).iterdir())]
    used = np.stack([np.asarray(Image.open(paths[index])) for index in data.train_set.indices.tolist()])
    assert data.mean is not None
    assert data.std is not None
    np.testing.assert_allclose(data.mean.flatten(), used.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data.std.flatten(), used.std((0, 1, 2)), rtol=1e-6)
    images = torch.cat([x for x, _ in data.train_dataloader()])
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3))


def test_many_images_are_measured_by_some(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_template.datamodules.image_folder.MAX_MEASURED", 5)
    measured: list[int] = []

    def measure(inputs: Any, indices: Tensor) -> tuple[Tensor, Tensor]:
        measured.extend(indices.tolist())
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1)

    monkeypatch.setattr("lightning_template.datamodules.normalized.mean_and_std", measure)
    data = make(folder)
    assert data.train_set is not None
    assert 3 <= len(measured) <= 5
    assert set(measured) <= set(data.train_set.indices.tolist())
    assert min(measured) < 12 <= max(measured)  # of both classes


@FORKS
@pytest.mark.parametrize("num_workers", [0, 2])
def test_images_that_do_not_fit_are_the_same_to_the_bit(folder: Path, num_workers: int) -> None:
    options: dict[str, Any] = {"image_size": 4, "augmentations": [RandomHorizontalFlip()]}
    kept = everything(make(folder, **options))
    decoded = everything(make(folder, **options, memory_limit=20 * 4 * 4 * 3 - 1, num_workers=num_workers))
    exactly = everything(make(folder, **options, memory_limit=20 * 4 * 4 * 3))
    assert len(kept) == len(decoded) == len(exactly) == 11
    for (images, targets), *others in zip(kept, decoded, exactly, strict=True):
        for other_images, other_targets in others:
            assert torch.equal(images, other_images)
            assert torch.equal(targets, other_targets)


def test_what_fits_is_read_once(folder: Path) -> None:
    kept, decoded = make(folder), make(folder, memory_limit=0)
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    assert len(everything(kept)) == 11
    with pytest.raises(ValueError, match=r"\.png cannot be read as an image"):
        everything(decoded)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_damaged_images_are_left_out_if_asked_for(limit: int, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"normalize": False, "shuffle": False, "val_fraction": 0.0, "test_fraction": 0.0}
    whole = make(folder, **options)
    assert whole.train_set is not None
    kept = [index for index in range(20) if index not in (3, *range(13, 19))]
    expected = [image for index, image in enumerate(whole.train_set.inputs) if index in kept]
    for name in ("cats/003", *(f"dogs/{number:03}" for number in range(1, 7))):
        (folder / f"{name}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cats/003\.png cannot be read as an image"):
        make(folder, memory_limit=10**9, **options)
    data = make(folder, memory_limit=limit, skip_damaged=True, **options)
    assert data.train_set is not None
    assert torch.equal(data.train_set.inputs.index_select(0, torch.arange(13)), torch.stack(expected))
    assert data.train_set.targets.tolist() == [0] * 11 + [1] * 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 6
    assert told[0].startswith(f"skipped: {folder}/cats/003.png cannot be read as an image")
    assert told[-1] == "skipped: 2 more files"


def test_folders_for_the_parts(tmp_path: Path) -> None:
    for part, number in (("train", 6), ("test", 3), ("val", 2)):
        for seed, name in enumerate(("b", "a")):
            write_images(tmp_path / part / name, number, seed)
    data = make(tmp_path)
    sets = (data.train_set, data.val_set, data.test_set)
    assert [len(part) for part in sets if part] == [12, 4, 6]
    assert data.class_names == ("a", "b")
    loaders: list[Any] = [data.val_dataloader(), data.test_dataloader()]
    for loader in loaders:
        targets = torch.cat([y for _, y in loader])
        assert targets.tolist() == sorted(targets.tolist())
    assert data.mean is not None
    training = np.stack([np.asarray(Image.open(path)) for path in (tmp_path / "train").glob("*/*.png")])
    np.testing.assert_allclose(data.mean.flatten(), training.mean((0, 1, 2)), rtol=1e-6)
    (tmp_path / "test").rename(tmp_path.with_name("elsewhere"))
    without = make(tmp_path, test_fraction=0.25)
    assert [len(part) for part in (without.train_set, without.val_set, without.test_set) if part] == [9, 4, 3]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("car", "train"):
        write_images(tmp_path / name, 5)
    assert make(tmp_path, test_fraction=0.2, val_fraction=0.2).class_names == ("car", "train")


def remove(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def move_away(folder: Path) -> Path:
    """Leave a folder without its classes, and return it."""
    folder.rename(folder.with_name("before"))
    folder.mkdir()
    return folder


def lay_directly(folder: Path) -> None:
    Image.new("L", (2, 2)).save(move_away(folder) / "cat.png")


def write_parts(folder: Path) -> None:
    move_away(folder)
    for name in ("train/a", "train/b", "test/c"):
        write_images(folder / name, 1)


MISTAKES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (lambda folder: folder.rename(folder.with_name("other")), "there is no folder `data_dir` .*images$"),
    "images lie directly": (
        lay_directly,
        "no class folders in .*images, but 1 images: put the images of each class into a folder named after it",
    ),
    "one class": (
        lambda folder: (folder / "dogs").rename(folder.with_name("dogs")),
        "images must have the folders of at least two classes, got only cats",
    ),
    "empty class": (lambda folder: remove(folder / "dogs"), "no images in .*images/dogs; their names end in .bmp, "),
    "truncated": (
        lambda folder: (folder / "dogs/003.png").write_bytes((folder / "dogs/003.png").read_bytes()[:60]),
        "images/dogs/003.png cannot be read as an image: image file is truncated; mend or remove the file",
    ),
    "no image": (
        lambda folder: (folder / "cats/zebra.jpeg").write_text("hello"),
        "images/cats/zebra.jpeg cannot be read as an image: it is none of BMP, GIF, JPEG, PNG",
    ),
    "folder in a class": (
        lambda folder: write_images(folder / "cats/more", 1),
        "images must lie directly in the folder of their class, got the folder .*images/cats/more",
    ),
    "unknown class": (
        write_parts,
        r"images/test/c is of a class that the training set lacks; it has \['a', 'b'\]",
    ),
    "unknown part": (
        lambda folder: write_images(folder / "train/a", 1),
        r"has a folder train, and beside it only test and val may be, got \['cats', 'dogs'\]",
    ),
    "numbers on an unknown scale": (
        lambda folder: Image.fromarray(np.ones((2, 2), np.float32)).save(folder / "cats/x.tif"),
        "images/cats/x.tif cannot be read as an image: its values are floating-point numbers",
    ),
    "32 bits": (
        lambda folder: Image.fromarray(np.full((2, 2), 70000, np.int32)).save(folder / "cats/x.tif"),
        "images/cats/x.tif cannot .*: its values must lie in 16 bits, got 70000 to 70000",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_folder_are_named(mistake: str, folder: Path) -> None:
    spoil, message = MISTAKES[mistake]
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        make(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "`image_size` must be at least 1, got 0"),
        ({"image_size": (5, -1)}, r"`image_size` must be at least 1, got \(5, -1\)"),
        ({"test_fraction": 1.0}, r"`test_fraction` must lie in \[0, 1\), got 1.0"),
        ({"test_fraction": 0.01}, "a fraction of 0.01 of 20 samples leaves a part empty"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        make(folder, **options)


def test_the_smallest_image_and_the_defaults(tmp_path: Path) -> None:
    data = ImageFolderDataModule(str(tmp_path), image_size=1)
    assert (data.input_shape, data.memory_limit, data.eval_batch_size) == ((3, 1, 1), 2_000_000_000, 100)
    assert ImageFolderDataModule(str(tmp_path), (2, 1), channels=1).input_shape == (1, 2, 1)


def test_other_files_are_left_alone_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    make(folder)
    assert "left alone" not in caplog.text
    (folder / "notes.txt").write_text("hello")
    for name in (".DS_Store", "._000.png", "Thumbs.db"):
        (folder / "cats" / name).write_text("hello")
    (folder / ".thumbnails").mkdir()
    (folder / "__MACOSX/cats").mkdir(parents=True)
    (folder / "__MACOSX/cats/._001.png").write_text("hello")
    data = make(folder)
    assert data.class_names == ("cats", "dogs")
    assert data.train_set is not None
    assert len(data.train_set.targets) == 20
    told = (
        f"{folder}: 5 files are left alone, as they are hidden or no images, such as {folder}/__MACOSX/cats/._001.png"
    )
    assert told in [record.getMessage() for record in caplog.records]
    assert find_images([str(folder)]) == sorted(map(str, folder.glob("[cd]*/0*.png")))


def test_a_device_needs_images_in_memory(folder: Path) -> None:
    data = ImageFolderDataModule(str(folder), SIZE, memory_limit=0, on_device=True)
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device="meta"))  # type: ignore[assignment]
    with pytest.raises(ValueError, match="`on_device` needs inputs in memory, got 1800 bytes that are read from files"):
        data.setup("fit")


def fit(folder: Path) -> list[str]:
    return [
        *("fit", "--data=lightning_template.datamodules.ImageFolderDataModule", f"--data.data_dir={folder}"),
        *("--data.image_size=[5,6]", "--data.batch_size=4"),
        *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=2"),
        *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network.in_features=90", "--model.network.out_features=2"),
    ]


def test_a_fit_from_the_command_line(folder: Path, command: Command) -> None:
    fitted = command(*fit(folder), "--test_after_fit")
    assert fitted.status == 0, fitted.err
    assert "20 images of 3 x 5 x 6" in fitted.err
    assert "test/accuracy" in fitted.out


@FORKS
@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_fit_from_files_resumes_exactly(num_workers: int, folder: Path, command: Command) -> None:
    from_files = [*fit(folder), "--data.memory_limit=0", f"--data.num_workers={num_workers}"]
    options = ["--trainer.max_epochs=3", "--callbacks.checkpoint.every_n_steps=3"]  # of 4 in an epoch
    num_steps = 0

    def fail(*_: Any) -> None:
        nonlocal num_steps
        num_steps += 1
        if num_steps == 8:
            raise RuntimeError("a power cut")

    handle = register_optimizer_step_pre_hook(fail)
    assert command(*from_files, *options, "--experiment=cut").status == 1
    handle.remove()
    assert load("cut")["global_step"] == 6
    assert command("fit", "--ckpt_path=lightning_logs/cut/version_0").status == 0
    assert command(*fit(folder), *options, "--experiment=whole").status == 0  # from memory: the same to the bit
    for key in ("state_dict", "global_step", "epoch"):
        torch.testing.assert_close(load("cut")[key], load("whole")[key], rtol=0, atol=0)


def load(experiment: str) -> dict[str, Any]:
    path = f"lightning_logs/{experiment}/version_0/checkpoints/last.ckpt"
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint

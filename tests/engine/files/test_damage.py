"""Damaged files of data are refused by their own checksums, and other data than a run's by the digests it keeps."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from array_data import PLAIN_MLP, arrays, write
from conftest import Command
from lightning_template.datamodules import (
    FashionMNISTDataModule,
    ImageFolderDataModule,
    LineDataModule,
    TableDataModule,
    TensorsDataModule,
)
from lightning_template.engine.files import class_folders
from lightning_template.engine.files.data_files import digest_of_archive
from lightning_template.engine.files.fashion_mnist_files import CHECKSUMS
from lightning_template.load import load_run


def flip(path: Path, position: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def is_refused_or_equal(path: Path, expected: dict[str, np.ndarray]) -> bool:
    """Read a file; return whether it was refused, after a check that it is not silently another."""
    try:
        split, *_ = TensorsDataModule(str(path)).load()
    except ValueError as error:
        assert path.name in str(error)  # noqa: PT017  # both ends are right
        return True
    for values, name in zip(split, ("inputs", "targets"), strict=True):
        np.testing.assert_array_equal(values, expected[name])
    return False


def every_flip_is_seen(path: Path, step: int) -> None:
    values = arrays(5)
    whole = write(path, values).read_bytes()
    refused = 0
    at_the_end = range(8 * (len(whole) - 120), 8 * len(whole), min(step, 9))  # on which all else depends
    numbers = [*range(0, 8 * len(whole), step), *at_the_end]
    for number in numbers:
        path.write_bytes(whole)
        flip(path, number // 8, number % 8)
        refused += is_refused_or_equal(path, values)
    assert refused > len(numbers) // 3  # the rest is padding, and what nobody reads


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_flipped_bits_are_seen(suffix: str, tmp_path: Path) -> None:
    every_flip_is_seen(tmp_path / f"data.{suffix}", 149)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_every_flipped_bit_is_seen(suffix: str, tmp_path: Path) -> None:
    every_flip_is_seen(tmp_path / f"data.{suffix}", 1)


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_one_flipped_bit_of_a_number_is_refused_at_first_sight(suffix: str, tmp_path: Path) -> None:
    values = arrays()
    path = write(tmp_path / f"data.{suffix}", values)
    flip(path, path.read_bytes().index(values["inputs"].tobytes()) + 3, 4)
    part = {"pt": "data/data/0", "npz": "inputs.npy"}[suffix]
    with pytest.raises(ValueError, match=f"data.{suffix} is damaged: the checksum of its part {part} does not match"):
        TensorsDataModule(str(path)).setup("fit")


def test_a_tensor_marked_as_a_folder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "data.pt", arrays())
    content = path.read_bytes()
    entry = content.rindex(b"PK\1\2", 0, content.rindex(b"data/data/0"))
    flip(path, entry + 38, 4)  # torch then leaves the tensor's memory as it is
    with pytest.raises(ValueError, match=r"data\.pt is damaged"):
        TensorsDataModule(str(path)).setup("fit")


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_files_that_are_cut_off_are_refused(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"data.{suffix}", arrays())
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert is_refused_or_equal(path, arrays())


def test_checksums_of_parquet_are_verified(tmp_path: Path) -> None:
    path, numbers = tmp_path / "data.parquet", np.arange(100) * 0.5
    parquet.write_table(
        pa.table({"x": numbers, "y": numbers}), path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    data = TableDataModule(str(path), "y", task="regression")
    data.load()
    flip(path, path.read_bytes().index(numbers.tobytes()) + 400, 3)
    with pytest.raises(ValueError, match=r"data.parquet cannot be read as a table: .*CRC"):
        data.load()


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_digests_of_arrays_are_of_what_they_hold(suffix: str, tmp_path: Path) -> None:
    values, path = arrays(), tmp_path / f"data.{suffix}"

    def digest() -> Any:
        (found,) = TensorsDataModule(str(write(path, values))).data_digests().values()
        assert found.path == str(path)
        return found.digest

    first = digest()
    assert digest() == first
    values["inputs"][3, 1, 2] += 1e-9
    assert digest() != first
    values["inputs"][3, 1, 2] -= 1e-9
    values["other"] = values["targets"]
    assert digest() != first


def write_images(folder: Path) -> Path:
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (4, 4), 40 * number + len(folder.name)).save(folder / name / f"{number}.bmp")
    return folder


def test_digests_of_tables_are_of_the_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"{name},y\n1,2\n")
    table = TableDataModule(str(tmp_path / "a.csv"), "y", test_path=str(tmp_path / "b.csv")).data_digests()
    assert table["test_path"] == (str(tmp_path / "b.csv"), hashlib.sha256(b"b,y\n1,2\n").hexdigest())
    assert list(table) == ["path", "test_path"]
    assert {digest.digest for digest in FashionMNISTDataModule().data_digests().values()} == set(CHECKSUMS.values())
    assert LineDataModule().data_digests() == {}


def rename(folder: Path) -> None:
    (folder / "cats" / "0.bmp").rename(folder / "cats" / "9.bmp")


CHANGES: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "a bit": (lambda folder: flip(folder / "cats" / "1.bmp", -1, 0), True),
    "a name": (rename, False),
    "a file less": (lambda folder: (folder / "cats" / "2.bmp").unlink(), False),
    "a file longer": (lambda folder: (folder / "cats" / "2.bmp").write_bytes(bytes(99)), False),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("parts", [[""], ["train", "test"]])
def test_digests_of_folders(change: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in parts:
        write_images(tmp_path / part if part else tmp_path)
    data = ImageFolderDataModule(str(tmp_path), image_size=4)
    spoil, is_in_content_alone = CHANGES[change]
    before = data.data_digests()
    monkeypatch.setattr(class_folders, "MAX_HASHED_BYTES", 0)
    without_content = data.data_digests()
    spoil(tmp_path / parts[-1])
    assert (data.data_digests() != without_content) != is_in_content_alone
    monkeypatch.undo()
    after = data.data_digests()
    assert [name for name in before if before[name] != after[name]] == [f"{parts[-1]}/cats".lstrip("/")]
    folders = {tmp_path / part / name for part in parts for name in ("cats", "dogs")}
    assert {Path(digest.path) for digest in after.values()} == folders


FIT = [
    *("fit", "--data=lightning_template.datamodules.TensorsDataModule", "--data.path=data.pt"),
    *("--model=lightning_template.tasks.ClassificationTask", *PLAIN_MLP, "--model.num_classes=3"),
    *("--model.loss=torch.nn.CrossEntropyLoss", "--model.network.in_features=8", "--model.network.out_features=3"),
    "--callbacks.dashboard=null",
]
RUN = Path("lightning_logs/default/version_0")


def test_a_run_knows_its_data(command: Command, workspace: Path) -> None:
    values = arrays()
    path = write(Path("data.pt"), values)
    assert command(*FIT).status == 0
    was = json.loads((RUN / "data.json").read_text())["path"]["digest"]
    config = (RUN / "config.yaml").read_bytes()
    values["inputs"][3, 1, 2] += 1e-9
    now = digest_of_archive(write(path, values)).digest
    change = f"data.pt has changed: its digest was {was} and is {now}"
    refused = command("fit", f"--ckpt_path={RUN}", "--trainer.max_epochs=3")
    assert (refused.status, refused.err.count("data.pt")) == (2, 1)
    assert refused.err.splitlines()[-1].startswith(f"lightning-template: error: {change}, so the run")
    assert "--allow_changes" in refused.err
    assert (RUN / "config.yaml").read_bytes() == config
    warned = command("test", f"--ckpt_path={RUN}")
    assert warned.status == 0
    assert warned.err.count(f"the data may differ from those of training: {change}\n") == 1
    (RUN / "data.json").write_text("{")
    refused = command("fit", f"--ckpt_path={RUN}", "--trainer.max_epochs=3")
    assert refused.status == 2
    assert f"error: {RUN}/data.json cannot be read (" in refused.err.splitlines()[-1]


@pytest.mark.slow
def test_other_data_may_be_allowed(command: Command, workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, change = write(Path("data.pt"), arrays()), "data.pt has changed: its digest was "
    assert command(*FIT).status == 0
    assert change not in command("fit", f"--ckpt_path={RUN}", "--trainer.max_epochs=2").err
    write(path, arrays(31))
    for stage in ("validate", "predict"):
        warned = command(stage, f"--ckpt_path={RUN}")
        assert (warned.status, change in warned.err) == (0, True)
    with caplog.at_level(logging.WARNING, "lightning_template"):
        assert load_run(RUN).data.num_classes == 3
    assert change in caplog.text
    went_on = command("fit", f"--ckpt_path={RUN}", "--trainer.max_epochs=3", "--allow_changes")
    assert (went_on.status, change in went_on.err) == (0, True)
    assert change not in command("test", f"--ckpt_path={RUN}").err


@pytest.mark.slow
def test_a_file_that_moves_is_the_same(command: Command, workspace: Path) -> None:
    write_images(Path("here"))
    options = ["--model.network.in_features=48", "--model.num_classes=2", "--model.network.out_features=2"]
    data = ["--data=lightning_template.datamodules.ImageFolderDataModule", "--data.image_size=4"]
    data += ["--data.test_fraction=0.2", "--data.val_fraction=0.2", "--data.data_dir=here"]
    fitted = command("fit", *data, *FIT[3:], *options)
    assert fitted.status == 0, fitted.err
    Path("here").rename("there")
    moved = command("test", f"--ckpt_path={RUN}", "--data.data_dir=there")
    assert (moved.status, "has changed" in moved.err) == (0, False)
    flip(Path("there/cats/1.bmp"), -1, 0)
    (Path("there/dogs/1.bmp")).unlink()
    changed = command("fit", f"--ckpt_path={RUN}", "--data.data_dir=there", "--trainer.max_epochs=2")
    assert changed.status == 2
    assert "error: there/cats has changed: its digest was" in changed.err
    assert "(1 more have changed)" in changed.err
    (RUN / "data.json").unlink()  # a run of an older version
    assert command("fit", f"--ckpt_path={RUN}", "--data.data_dir=there", "--trainer.max_epochs=2").status == 0
    assert (RUN / "data.json").is_file()

"""What is said of files that are none, and of files whose checksums do not match."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_template.datamodules import (
    FashionMNISTDataModule,
    ImageFolderDataModule,
    LineDataModule,
    TableDataModule,
    TensorsDataModule,
)
from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.files.data_files import check_regular
from lightning_template.engine.files.image_files import find_images


def load(data: InMemoryDataModule) -> None:
    data.prepare_data()
    data.setup("fit")


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a socket's address is short
        server.bind(path.name)


KINDS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": bind,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


def image_folder(folder: Path, path: Path) -> ImageFolderDataModule:
    (folder / "b").mkdir()
    (folder / "b" / "b.png").touch()
    return ImageFolderDataModule(str(folder), image_size=2)


READERS: dict[str, tuple[str, Callable[[Path, Path], InMemoryDataModule]]] = {
    "csv": ("data.csv", lambda folder, path: TableDataModule(str(path), "y")),
    "tsv": ("data.tsv", lambda folder, path: TableDataModule(str(path), "y")),
    "parquet": ("data.parquet", lambda folder, path: TableDataModule(str(path), "y")),
    "npz": ("data.npz", lambda folder, path: TensorsDataModule(str(path))),
    "pt": ("data.pt", lambda folder, path: TensorsDataModule(str(path))),
    "idx": (
        "FashionMNIST/raw/t10k-images-idx3-ubyte",
        lambda folder, path: FashionMNISTDataModule(str(folder)),
    ),
    "idx.gz": (
        "FashionMNIST/raw/train-labels-idx1-ubyte.gz",
        lambda folder, path: FashionMNISTDataModule(str(folder)),
    ),
    "image": ("a/a.png", image_folder),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_named(reader: str, kind: str, workspace: Path) -> None:
    name, make = READERS[reader]
    path = workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path)
    data = make(workspace, path)
    message = f"{path} must be a regular file, got a {kind}"
    if (reader, kind) == ("image", "folder"):
        message = f"images must lie directly in the folder of their class, got the folder {path}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(data)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_what_is_no_regular_file_is_not_predicted(kind: str, workspace: Path) -> None:
    (workspace / "images").mkdir()
    path = workspace / "images" / "x.png"
    KINDS[kind](path)
    for where in (path, path.parent):
        with pytest.raises(ValueError, match=f"x.png must be a regular file, got a {kind}"):
            find_images([str(where)])
    path.rename(workspace / "x.csv")
    with pytest.raises(ValueError, match=f"x.csv must be a regular file, got a {kind}"):
        LineDataModule().file_reader().read([str(workspace / "x.csv")], invert=False)


def test_a_file_in_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    check_regular(tmp_path / "x")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/x/y cannot be read: Not a directory$"):
        check_regular(tmp_path / "x" / "y")


def test_a_link_without_an_end_is_named(workspace: Path) -> None:
    (workspace / "x.png").symlink_to("gone.png")
    for paths in ([str(workspace)], [str(workspace / "x.png")]):
        with pytest.raises(ValueError, match=r"there is no file (or folder )?.*x\.png"):
            find_images(paths)

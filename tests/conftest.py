"""Tiny data, and the command line called in this process: importing Lightning takes seconds."""

import gc
import gzip
import hashlib
import logging
import os
import shutil
import signal
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lightning_template.engine.cli import main as __main__
from lightning_template.engine.cli.commands import new_project, upgrade, wheels
from lightning_template.engine.files import fashion_mnist_files
from process_state import LOGGERS, changes, process_state

ROOT = Path(__file__).parents[1]
NUM_TRAIN, NUM_TEST = 96, 32


signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored, which the signals' tests would inherit
torch.set_num_threads(1)  # two workers of two threads each on two cores take three times as long
# Before fakes of a GPU, for which autograd would start threads, so that checks could not fork.
torch.ones(1, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]


class Result(NamedTuple):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Result]


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a gzipped IDX file of bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def pytest_collection_finish() -> None:
    """Leave what was imported, half a million objects, out of garbage collection: a quarter of a short fit."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter clear what was imported."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def no_loss_of_power() -> Iterator[None]:
    """Wait for no disk: a test of what a loss of power would leave puts in its own `fsync`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def tiny_fashion_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a `data_dir` with 96 + 32 images that show their class as a bright band."""
    folder = tmp_path_factory.mktemp("data") / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, number in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        labels = np.arange(number) % 10
        images = generator.integers(0, 60, (number, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[label * 2 : label * 2 + 4] += 150
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder.parents[1]


@pytest.fixture
def fashion_mnist(tiny_fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the tiny files pass for FashionMNIST; return their `data_dir`."""
    raw = tiny_fashion_mnist / "FashionMNIST" / "raw"
    checksums = {path.stem: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() for path in raw.glob("*.gz")}
    monkeypatch.setattr(fashion_mnist_files, "CHECKSUMS", checksums)
    return tiny_fashion_mnist


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder; leave environment, arguments, import path, modules and loggers as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    environment = os.environ.copy()
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in LOGGERS}
    handlers = logging.getLogger("lightning_template").handlers
    monkeypatch.setattr(logging.getLogger("lightning_template"), "handlers", handlers[:])
    yield tmp_path
    for logger, level in loggers.items():
        logger.setLevel(level)
    os.environ.clear()
    os.environ.update(environment)
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]  # another test may write a module of this name


def call_main(*args: str | Path) -> int:
    """Call `lightning-template` in this process, and return its exit status."""
    sys.argv[:] = ["lightning-template", *map(str, args)]
    try:
        return __main__.main()
    except SystemExit as error:
        return int(error.code or 0)


@pytest.fixture
def command(workspace: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Return a function that calls `lightning-template` with its arguments, in an empty folder."""

    def call(*args: str | Path) -> Result:
        capfd.readouterr()
        status = call_main(*args)
        return Result(status, *capfd.readouterr())

    return call


@pytest.fixture
def child_command(workspace: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Return a function that does so in a child of this process, which may be killed or have limits of its own."""

    def call(*args: str | Path, first: Callable[[], object] = int) -> Result:
        capfd.readouterr()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # threads here do not matter there
            child = os.fork()
        if child == 0:
            status = 99
            try:
                sys.dont_write_bytecode = True  # Python would keep half a file where it could not write the rest
                first()
                status = call_main(*args)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Result(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that hatchling builds of this checkout."""
    return wheels.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def built(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let commands take that wheel instead of building their own; return it."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copy(wheel, folder))

    monkeypatch.setattr(new_project, "build_wheel", copy)
    monkeypatch.setattr(upgrade, "build_wheel", copy)
    return wheel


@pytest.fixture(autouse=True)
def nothing_stays_changed() -> Iterator[None]:
    """Fail a test that leaves the process changed: the tests after it would depend on it."""
    before = process_state()
    yield
    changed = changes(before, process_state())
    assert not changed, changed


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Make every test independent of the ones before it."""
    torch.manual_seed(0)

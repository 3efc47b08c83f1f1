"""The four FashionMNIST files: found, verified, downloaded where needed, and read.

`obtain` runs once per machine, `read` in every process. Only `read` needs torch, and it takes seconds to import: it is
imported where it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock, Timeout

from lightning_template.engine.files import fashion_mnist_sources as sources
from lightning_template.engine.files.data_files import check_regular
from lightning_template.engine.runs.files import replacing

if TYPE_CHECKING:
    import torch

CHECKSUMS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Names of the four files and sha256 of their decompressed content."""

_SCRATCH = ".partial"  # in the files' own folder, so that moving into place is a rename within one file system
_DAMAGE = (OSError, EOFError, ValueError, zlib.error)  # what reading a damaged file raises

_logger = logging.getLogger(__name__)


class FashionMNISTTensors(NamedTuple):
    """Training and test set: images `(N, 28, 28)` of uint8 and labels `(N,)` of int64 in 0..9."""

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]


def obtain(data_dir: Path, checksums: Mapping[str, str] = CHECKSUMS) -> None:
    """Make sure that `read` finds good files: download missing ones, replace damaged ones.

    Processes may call this at once: one works, the others wait for it. Where all files are good, nothing is written.

    Args:
        data_dir: Folder in torchvision's layout, `FashionMNIST/raw/`; made when there is something to put into it.
        checksums: Names of the files and sha256 of their decompressed content.

    Raises:
        ValueError: If no source has good files, or they cannot be written.
    """
    raw = _raw_folder(data_dir)
    contents, damaged = _search(raw, checksums)
    for path, reason in damaged.items():
        _logger.warning("%s is damaged, looking for another copy: %s", path, reason)
    missing = [name for name in checksums if name not in contents]
    try:
        if missing or raw in {path.parent for path in damaged} or (raw / _SCRATCH).exists():
            _mend(raw, checksums)
    except OSError as error:  # good files elsewhere are enough where this folder cannot be mended
        if missing:
            raise _unobtainable(raw, missing, damaged, [f"cannot write into {raw}: {error}"]) from error


def read(data_dir: Path, checksums: Mapping[str, str] = CHECKSUMS) -> FashionMNISTTensors:
    """Read the files from `data_dir` or the system's folder of them; every call verifies them.

    Args:
        data_dir: Folder in torchvision's layout, `FashionMNIST/raw/`.
        checksums: Names of the files and sha256 of their decompressed content.

    Raises:
        ValueError: If a file is missing or damaged, or is not what its name says.
    """
    raw = _raw_folder(data_dir)
    contents, damaged = _search(raw, checksums)
    if missing := [name for name in checksums if name not in contents]:
        raise _unobtainable(raw, missing, damaged, [])
    return FashionMNISTTensors(_parse_pair("train", contents), _parse_pair("t10k", contents))


def _raw_folder(data_dir: Path) -> Path:
    return data_dir.absolute() / "FashionMNIST" / "raw"


def _load(path: Path, checksum: str) -> bytearray:
    content, digest = bytearray(), hashlib.sha256()
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        while len(content) <= sources.MAX_BYTES and (chunk := stream.read(1 << 18)):
            content += chunk
            digest.update(chunk)
    if digest.hexdigest() != checksum:
        raise ValueError(f"sha256 of its {len(content)} bytes is {digest.hexdigest()}, expected {checksum}")
    return content


def _search(raw: Path, checksums: Mapping[str, str]) -> tuple[dict[str, bytearray], dict[Path, str]]:
    """Return verified contents by name, and the error of each damaged file.

    Raises:
        ValueError: If something else than a regular file has the name of one: it is not ours to replace.
    """
    contents: dict[str, bytearray] = {}
    damaged: dict[Path, str] = {}
    for name, checksum in checksums.items():
        for path in (folder / f"{name}{suffix}" for folder in (raw, sources.SYSTEM_FOLDER) for suffix in ("", ".gz")):
            if os.path.exists(path):  # noqa: PTH110  # pathlib's raises where a folder cannot be read
                check_regular(path)
            try:
                contents[name] = _load(path, checksum)
                break
            except (FileNotFoundError, NotADirectoryError):
                continue
            except _DAMAGE as error:
                damaged[path] = str(error)
    return contents, damaged


def _unobtainable(raw: Path, missing: Sequence[str], damaged: Mapping[Path, str], tried: Sequence[str]) -> ValueError:
    reasons = [f"not in {folder}" for folder in (raw, sources.SYSTEM_FOLDER)]
    reasons += [*(f"{path}: {why}" for path, why in damaged.items()), *tried]
    return ValueError(
        f"no good copy of FashionMNIST's {', '.join(missing)}: {'; '.join(' '.join(why.split()) for why in reasons)}. "
        f"Put the four files (gzipped or not) into {raw}, or run `apt-get install {sources.PACKAGE}`, "
        "or connect this machine to a network"
    )


def _parse_pair(part: str, contents: Mapping[str, bytearray]) -> tuple[torch.Tensor, torch.Tensor]:
    images = _parse(f"{part}-images-idx3-ubyte", contents, (28, 28))
    labels = _parse(f"{part}-labels-idx1-ubyte", contents, ()).long()
    if len(images) != len(labels) or labels.max() > 9:
        raise ValueError(
            f"each image of the {part} files must have one label in 0..9, got {len(images)} images and "
            f"{len(labels)} labels up to {labels.max()}; replace both files"
        )
    return images, labels


def _parse(name: str, contents: Mapping[str, bytearray], item: tuple[int, ...]) -> torch.Tensor:
    """Body of an IDX file of shape `(N, *item)`, in the memory of its content."""
    import torch

    content, start = contents[name], 4 * (2 + len(item))
    magic, count, *shape = (int.from_bytes(content[i : i + 4]) for i in range(0, start, 4))
    if magic != 0x801 + len(item) or tuple(shape) != item or not 0 < count * prod(item) == len(content) - start:
        raise ValueError(
            f"{name} must have magic {0x801 + len(item)} and shape {('N', *item)}, got magic {magic} and "
            f"shape {(count, *shape)} in {len(content)} bytes; replace the file"
        )
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(count, *item)


@contextmanager
def _workshop(raw: Path) -> Iterator[Path]:
    """Hold the lock and an empty scratch folder; leave nothing behind but what was put in place.

    If two processes fail at once, one may create folders while the other removes them: an empty one may stay.
    """
    created: list[Path] = []
    lock, scratch = FileLock(raw / ".lock"), raw / _SCRATCH
    try:
        while not lock.is_locked:
            created += [folder for folder in (raw, *raw.parents) if not folder.exists()]
            raw.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout, FileNotFoundError):  # whoever held it may fail and remove its empty folders
                lock.acquire(timeout=1)
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        scratch.mkdir(exist_ok=True)
        yield scratch
    finally:
        if lock.is_locked:
            shutil.rmtree(scratch, ignore_errors=True)
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
        for folder in created:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _mend(raw: Path, checksums: Mapping[str, str]) -> None:
    """Put good files where they are missing or damaged, each as soon as it is verified."""
    tried: list[str] = []
    with _workshop(raw) as scratch:
        contents, damaged = _search(raw, checksums)  # again: whoever held the lock may have done the work
        for name in contents:
            if not damaged.keys().isdisjoint((raw / name, raw / f"{name}.gz")):
                _place(raw, name, contents[name], damaged)
        missing = [name for name in checksums if name not in contents]
        for source, fetch in sources.in_order() if missing else ():
            try:
                for path in fetch(tuple(missing), scratch):
                    _place(raw, path.stem, _load(path, checksums[path.stem]), damaged)
                    missing.remove(path.stem)
                return
            except (*_DAMAGE, *sources.FAILURES) as error:
                tried.append(f"{source}: {error}")
        if missing:
            raise _unobtainable(raw, missing, damaged, tried)


def _place(raw: Path, name: str, content: bytearray, damaged: Mapping[Path, str]) -> None:
    with replacing(raw / name, part=raw / _SCRATCH / name) as part:
        part.write_bytes(content)
    if (packed := raw / f"{name}.gz") in damaged:
        packed.unlink(missing_ok=True)

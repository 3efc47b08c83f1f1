"""Files of arrays that claim to be what they are not are refused before memory is asked for."""

import io
import re
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_template.datamodules import TensorsDataModule
from lightning_template.engine.files.claims import check_claims

LARGE = 2_000_000_000


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write(path: Path, inputs: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("inputs.npy", inputs)
        archive.writestr("targets.npy", npy(np.arange(10) % 2))
    return path


def bytes_of_directory(path: Path, size: int) -> None:
    """Have the directory of an archive, and the entry itself, claim another size of its first part."""
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[22:26] = content[directory + 24 : directory + 28] = size.to_bytes(4, "little")
    path.write_bytes(content)


CLAIMS = {
    "more than the file holds": (header((10, LARGE)) + b"x" * 40, "claims shape (10, 2000000000) of float32"),
    "more compressed": (header((10, LARGE)) + b"\0" * 10**6, "claims shape (10, 2000000000) of float32"),
    "less than the file holds": (header((10, 1)) + b"x" * 400, "of float32, 40 bytes, but holds 400"),
    "a negative shape": (header((-10, -1)) + b"x" * 40, "claims shape (-10, -1)"),
    "long text": (header((10, 2), f"<U{LARGE // 8}"), "bytes, but holds 0"),
    "Python objects": (header((10, 2), "|O") + b"x" * 100, "must hold real numbers, got Python objects"),
    "no header": (b"x" * 100, "array 'inputs' cannot be read: "),
}  # fmt: skip


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_false_claim_is_refused_without_memory(claim: str, compression: int, tmp_path: Path) -> None:
    inputs, message = CLAIMS[claim]
    path = write(tmp_path / "data.npz", inputs, compression)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}.*{re.escape(message)}"):
        TensorsDataModule(str(path)).setup("fit")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_directory_that_claims_more_than_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "data.npz", header((10, 2)) + b"x" * 80)
    bytes_of_directory(path, LARGE)
    with pytest.raises(ValueError, match="array 'inputs' claims 2000000000 bytes, but the file is smaller"):
        TensorsDataModule(str(path)).setup("fit")


def test_what_is_larger_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.npz", npy(np.zeros((10, 1000), np.float32)), zipfile.ZIP_DEFLATED)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 10, "SC_PHYS_PAGES": 4000}.get)
    with pytest.raises(ValueError, match=r"array 'inputs' needs 0.0 GB of memory, but this machine has 0.0 GB"):
        check_claims(path)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 100, "SC_PHYS_PAGES": 4000}.get)
    check_claims(path)


def test_no_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.npz", npy(np.zeros((10, 2), np.float32)))

    def fail(self: Any, key: str) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", fail)
    with pytest.raises(ValueError, match="array 'inputs' does not fit into memory: no memory"):
        TensorsDataModule(str(path)).setup("fit")


def test_a_tensor_that_claims_more_than_its_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.pt"
    torch.save({"inputs": torch.zeros(10, 2), "targets": torch.arange(10) % 2}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    name = next(name for name in parts if name.endswith("data.pkl"))
    parts[name] = parts[name].replace(b"K\x0aK\x02\x86", b"J\x00\x94\x35\x77K\x02\x86", 1)  # 10 becomes 2,000,000,000
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        TensorsDataModule(str(path)).setup("fit")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_is_true_is_taken(save: Any, tmp_path: Path) -> None:
    inputs = np.asfortranarray(np.random.default_rng(0).normal(size=(10, 3)))
    save(tmp_path / "data.npz", inputs=inputs, targets=np.arange(10) % 2, scalar=np.array(3), none=np.zeros((0, 4)))
    data = TensorsDataModule(str(tmp_path / "data.npz"), normalize=False)
    data.setup("fit")
    assert data.train_set is not None
    np.testing.assert_array_equal(data.train_set.inputs, inputs)

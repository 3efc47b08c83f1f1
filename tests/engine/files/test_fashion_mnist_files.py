import gzip
import hashlib
import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from lightning_template.engine.files import fashion_mnist_files as files
from lightning_template.engine.files import fashion_mnist_sources as sources

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES = tuple(files.CHECKSUMS)
RNG = np.random.default_rng(0)
ARRAYS = {
    name: RNG.integers(0, 256 if "images" in name else 10, (20 if "train" in name else 10, 28, 28)[: int(name[-7])])
    for name in NAMES
}


def idx(values: np.ndarray) -> bytes:
    header = [0x800 + values.ndim, *values.shape]
    return b"".join(int(number).to_bytes(4, "big") for number in header) + values.astype(np.uint8).tobytes()


def sha256(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


CONTENTS = {name: idx(values) for name, values in ARRAYS.items()}
CHECKSUMS = sha256(CONTENTS)
PACKED = {f"{name}.gz": gzip.compress(content) for name, content in CONTENTS.items()}


def fill(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder: when it was changed, and what it holds."""
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths}


def assert_good(data_dir: Path) -> None:
    train, test = files.read(data_dir, CHECKSUMS)
    for name, tensor in zip(NAMES, (*train, *test), strict=True):
        assert str(tensor.dtype) == ("torch.uint8" if "images" in name else "torch.int64")
        np.testing.assert_array_equal(tensor.numpy(), ARRAYS[name])


def fail(data_dir: Path) -> str:
    """What `obtain` says when it fails."""
    with pytest.raises(ValueError, match="no good copy of FashionMNIST") as caught:
        files.obtain(data_dir, CHECKSUMS)
    message = str(caught.value)
    assert "\n" not in message
    for remedy in (str(data_dir / "FashionMNIST" / "raw"), "`apt-get install dataset-fashion-mnist`", "a network"):
        assert remedy in message
    return message


class Mirror(http.server.ThreadingHTTPServer):
    """A server on the loopback that counts; `reply` writes what it likes to each request."""

    def __init__(self, reply: Callable[[http.server.BaseHTTPRequestHandler, bytes], None]) -> None:
        mirror, self.asked = self, list[str]()
        self.stopped = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                mirror.asked.append(name)
                with suppress(OSError):  # a client that was killed
                    reply(self, PACKED[name])

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"


def send(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def stall(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    """Half of the file, then silence until the mirror is stopped."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    assert isinstance(handler.server, Mirror)
    handler.server.stopped.wait(20)


def drip(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    for i in range(len(content)):
        handler.wfile.write(content[i : i + 1])
        time.sleep(0.02)


@contextmanager
def mirror(reply: Callable[[http.server.BaseHTTPRequestHandler, bytes], None] = send) -> Iterator[Mirror]:
    with Mirror(reply) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No mirror, no package and no apt-get on this machine; the folder where programs are looked for."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", Path("/nonexistent/fashion-mnist"))
    monkeypatch.setattr(sources, "_mirrors", list)
    monkeypatch.setattr(sources, "_SILENCE_S", 0.3)
    return tmp_path / "bin"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data"


@pytest.fixture
def raw(data_dir: Path) -> Path:
    return data_dir / "FashionMNIST" / "raw"


MIXED = {IMAGES: CONTENTS[IMAGES], **{name: PACKED[name] for name in list(PACKED)[1:]}}


@pytest.mark.parametrize("contents", [CONTENTS, PACKED, MIXED], ids=["raw", "gzipped", "mixed"])
def test_good_files_are_read_in_place(data_dir: Path, raw: Path, contents: dict[str, bytes]) -> None:
    fill(raw, contents)
    before = snapshot(data_dir)
    files.obtain(data_dir, CHECKSUMS)
    assert_good(data_dir)
    assert snapshot(data_dir) == before


def test_the_package_is_read_in_place(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "system", PACKED)
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "system")
    files.obtain(data_dir, CHECKSUMS)
    assert_good(data_dir)
    assert not data_dir.parent.exists()


def flip(content: bytes) -> bytes:
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


DAMAGE = {
    "truncated": {IMAGES: CONTENTS[IMAGES][:-1]},
    "empty": {IMAGES: b""},
    "bit flipped": {IMAGES: flip(CONTENTS[IMAGES])},
    "swapped": {LABELS: CONTENTS[TEST_LABELS], TEST_LABELS: CONTENTS[LABELS]},
    "gzipped twice": {f"{IMAGES}.gz": gzip.compress(PACKED[f"{IMAGES}.gz"])},
    "gzipped, truncated": {f"{IMAGES}.gz": PACKED[f"{IMAGES}.gz"][:-9]},
    "gzipped, bit flipped": {f"{IMAGES}.gz": flip(PACKED[f"{IMAGES}.gz"])},
    "gzipped, a web page": {f"{IMAGES}.gz": b"<html>"},
}


def damage(raw: Path, contents: dict[str, bytes]) -> None:
    fill(raw, CONTENTS)
    for name in contents:
        (raw / name.removesuffix(".gz")).unlink()
    fill(raw, contents)


@pytest.mark.parametrize("contents", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_an_error_that_names_the_file(data_dir: Path, raw: Path, contents: dict[str, bytes]) -> None:
    damage(raw, contents)
    before = snapshot(raw)
    message = fail(data_dir)
    with pytest.raises(ValueError, match="no good copy") as caught:
        files.read(data_dir, CHECKSUMS)
    for name in contents:
        assert f"{raw / name}: " in message
        assert f"{raw / name}: " in str(caught.value)
    assert {path: entry for path, entry in snapshot(raw).items() if path != str(raw)} == {
        path: entry for path, entry in before.items() if path != str(raw)
    }


@pytest.mark.parametrize("kind", ["bit flipped", "swapped", "truncated"])
def test_without_checksums_damage_would_pass(
    data_dir: Path, raw: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(raw, DAMAGE[kind])
    monkeypatch.setattr(files, "_load", lambda path, checksum: bytearray(path.read_bytes()))
    files.obtain(data_dir, CHECKSUMS)


@pytest.mark.parametrize("contents", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_told_and_replaced(
    data_dir: Path,
    raw: Path,
    contents: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(raw, contents)
    with mirror() as server:
        monkeypatch.setattr(sources, "_mirrors", lambda: [server.url])
        files.obtain(data_dir, CHECKSUMS)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == len(contents)
    assert all(str(raw / name) in line for name, line in zip(contents, told, strict=True))
    assert server.asked == [f"{name.removesuffix('.gz')}.gz" for name in contents]
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)
    assert_good(data_dir)


def test_what_lies_beside_a_good_file_is_not_read(data_dir: Path, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(raw, CONTENTS | PACKED)
    monkeypatch.setattr(gzip, "open", lambda path: pytest.fail(f"{path} is read"))
    assert_good(data_dir)


def test_gzipped_copy_saves_a_damaged_file(data_dir: Path, raw: Path) -> None:
    fill(raw, CONTENTS | {IMAGES: b"?"} | {f"{IMAGES}.gz": PACKED[f"{IMAGES}.gz"]})
    files.obtain(data_dir, CHECKSUMS)
    assert (raw / IMAGES).read_bytes() == CONTENTS[IMAGES]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take write access to a folder away, from root too."""
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_read_only_folder_is_used_as_far_as_it_goes() -> None:
    with tempfile.TemporaryDirectory() as folder:  # an ordinary user cannot enter root's tmp_path
        Path(folder).chmod(0o755)
        raw = Path(folder) / "FashionMNIST" / "raw"
        fill(raw, CONTENTS | {IMAGES: b"?"} | {f"{IMAGES}.gz": PACKED[f"{IMAGES}.gz"]})
        before = snapshot(raw)
        with read_only(raw):
            files.obtain(Path(folder), CHECKSUMS)
            assert_good(Path(folder))
        assert snapshot(raw) == before
        (raw / LABELS).unlink()
        with read_only(raw):
            assert f"cannot write into {raw}" in fail(Path(folder))


def web_page(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, b"<html>\nPlease log in\n</html>")


def not_found(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_error(404)


def cut_short(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, content[:-9])


def wrong_file(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, PACKED[f"{TEST_LABELS}.gz"])


def garbage(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    handler.wfile.write(b"\0\n\n")


BAD_REPLIES = {
    web_page: "Not a gzipped file",
    not_found: "404",
    cut_short: "end-of-stream",
    wrong_file: "sha256",
    garbage: "",
    stall: "timed out",
    drip: "not complete",
}


@pytest.mark.parametrize(("reply", "reason"), BAD_REPLIES.items(), ids=[reply.__name__ for reply in BAD_REPLIES])
def test_bad_mirror_is_an_error_that_leaves_nothing(
    data_dir: Path,
    reply: Callable[[http.server.BaseHTTPRequestHandler, bytes], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if reply in (stall, drip):  # which never end
        monkeypatch.setattr(sources, "_DOWNLOAD_S", 0.3)
    with mirror(reply) as server:
        monkeypatch.setattr(sources, "_mirrors", lambda: [server.url])
        message = fail(data_dir)
    assert reason in message.partition(server.url)[2].partition("; apt-get: ")[0]
    assert "apt-get: no apt-get and no dpkg-deb on this machine" in message
    assert server.asked == [f"{IMAGES}.gz"]
    assert not data_dir.parent.exists()


def test_endless_reply_is_cut_off(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    with mirror() as server:
        monkeypatch.setattr(sources, "_mirrors", lambda: [server.url])
        assert "not complete" in fail(data_dir)


def test_the_largest_reply_is_taken(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", max(len(content) for content in PACKED.values()))
    with mirror() as server:
        monkeypatch.setattr(sources, "_mirrors", lambda: [server.url])
        files.obtain(data_dir, CHECKSUMS)
    assert_good(data_dir)


def test_bomb_is_not_unpacked_to_its_end(data_dir: Path, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1 << 19)
    fill(raw, {f"{IMAGES}.gz": gzip.compress(bytes(1 << 24))})
    assert "786432 bytes" in fail(data_dir)  # the first chunk that exceeds the limit ends it


def test_next_mirror_gets_what_is_still_missing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def only_images(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        send(handler, content) if "images" in handler.path else handler.send_error(403)

    with mirror(only_images) as first, mirror() as second, caplog.at_level(logging.INFO, "lightning_template"):
        refused = "http://127.0.0.1:9/"  # nobody listens on the discard port
        monkeypatch.setattr(sources, "_mirrors", lambda: [refused, first.url, second.url])
        files.obtain(data_dir, CHECKSUMS)
    assert_good(data_dir)
    assert [record.getMessage() for record in caplog.records] == [
        f"Downloading FashionMNIST (31 MB) from {url}" for url in (refused, first.url, second.url)
    ]
    assert second.asked == [f"{name}.gz" for name in (LABELS, TEST_IMAGES, TEST_LABELS)]


APT_GET = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *update) [ -d cache ] && : > lists/filled ;;
  *) [ -e lists/filled ] || {{ echo "W: a word of warning\nE: Unable to locate package" >&2; exit 100; }}
     cp {package} data_all.deb ;;
esac
"""
DPKG_DEB = """#!/bin/sh
[ "$1" = -x ] && mkdir -p "$3" && tar -xf "$2" -C "$3"
"""


def install(tools: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        path = tools / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def package(tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that a fake apt-get serves once its lists were updated; the log of its calls."""
    fill(tmp_path / "files", PACKED)
    with tarfile.open(tmp_path / "package.tar", "w") as archive:
        archive.add(tmp_path / "files", "nonexistent/fashion-mnist")
    log = tmp_path / "log"
    install(tools, apt_get=APT_GET.format(log=log, package=tmp_path / "package.tar"), dpkg_deb=DPKG_DEB)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return log


def test_package_is_downloaded_with_lists_of_its_own(data_dir: Path, raw: Path, package: Path) -> None:
    files.obtain(data_dir, CHECKSUMS)
    assert_good(data_dir)
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)
    patience = f"-o Acquire::Retries=1 -o Acquire::http::Timeout={sources._SILENCE_S:.0f}"
    folders = f"-o Dir::State::lists={raw}/.partial/lists -o Dir::Cache={raw}/.partial/cache"
    assert package.read_text().splitlines() == [
        f"{patience} download dataset-fashion-mnist",
        f"{patience} {folders} -o APT::Update::Error-Mode=any update",
        f"{patience} {folders} download dataset-fashion-mnist",
    ]


BROKEN = {
    "no package": ("E: Unable to locate", {"apt_get": "#!/bin/sh\necho E: Unable to locate package >&2\nexit 100"}),
    "not a package": ("dpkg-deb: error: bad", {"dpkg_deb": "#!/bin/sh\necho dpkg-deb: error: bad >&2\nexit 2"}),
    "another content": ("No such file", {"dpkg_deb": "#!/bin/sh\nmkdir $3"}),
    "silent": ("dpkg-deb gives status 3", {"dpkg_deb": "#!/bin/sh\nexit 3"}),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "scripts"), BROKEN.values(), ids=BROKEN)
@pytest.mark.usefixtures("package")
def test_broken_package_is_an_error(data_dir: Path, tools: Path, reason: str, scripts: dict[str, str]) -> None:
    install(tools, **scripts)
    assert reason in fail(data_dir).partition("; apt-get: ")[2]
    assert not data_dir.parent.exists()


CHILD = """
import json, os, sys, types
from pathlib import Path
folder, data_dir, mirrors, checksums, extra = json.loads(sys.argv[1])
package = sys.modules["lightning_template.engine.files"] = types.ModuleType("lightning_template.engine.files")
package.__path__ = [folder]  # the package itself would import torch
from lightning_template.engine.files import fashion_mnist_files as files
from lightning_template.engine.files import fashion_mnist_sources as sources
sources._mirrors, sources.SYSTEM_FOLDER = lambda: mirrors, Path("/nonexistent/fashion-mnist")
exec(extra)
print("ready", flush=True)
sys.stdin.readline()
try:
    files.obtain(Path(data_dir), checksums)
except ValueError as error:
    print(error)
assert "torch" not in sys.modules
"""


def start(data_dir: Path, *mirrors: str, extra: str = "") -> subprocess.Popen[str]:
    folder = str(Path(files.__file__).parent)
    command = [sys.executable, "-c", CHILD, json.dumps([folder, str(data_dir), mirrors, CHECKSUMS, extra])]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def run_together(*children: subprocess.Popen[str]) -> list[str]:
    """Let processes go when all are ready; what each printed."""
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    outputs = [child.communicate(timeout=120) for child in children]
    assert [(error, child.returncode) for child, (_, error) in zip(children, outputs, strict=True)] == [
        ("", 0) for _ in children
    ]
    return [output for output, _ in outputs]


def slowly(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    time.sleep(0.1)
    send(handler, content)


def test_two_processes_download_once(data_dir: Path, raw: Path) -> None:
    with mirror(slowly) as server:
        assert run_together(start(data_dir, server.url), start(data_dir, server.url)) == ["", ""]
    assert server.asked == list(PACKED)
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)
    assert_good(data_dir)


def test_two_processes_fail_alike(data_dir: Path) -> None:
    def refuse(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        time.sleep(0.3)
        handler.send_error(404)

    with mirror(refuse) as server:
        for message in run_together(start(data_dir, server.url), start(data_dir, server.url)):
            assert f"{server.url}: HTTP Error 404" in message
    assert not [path for path in data_dir.parent.rglob("*") if path.is_file()]  # an empty folder may stay


KILL = {
    "downloading": "",
    "writing": "os.fsync = lambda file: (os.truncate(file, 99), os.kill(os.getpid(), 9))",
    "all in place": "files.shutil.rmtree = lambda path, **options: path.exists() and os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("when", KILL)
def test_killed_process_leaves_nothing_half_written(
    data_dir: Path, raw: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(stall if when == "downloading" else send) as server:
        child = start(data_dir, server.url, extra=KILL[when])
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        if when == "downloading":
            while not list(raw.glob(".partial/*.gz")):
                assert child.poll() is None
                time.sleep(0.02)
            child.kill()
        child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    assert (raw / ".partial").exists()
    in_place = [path for path in raw.iterdir() if not path.name.startswith(".")]
    assert all(path.read_bytes() == CONTENTS[path.name] for path in in_place)
    with mirror() as server:
        monkeypatch.setattr(sources, "_mirrors", lambda: [server.url])
        files.obtain(data_dir, CHECKSUMS)
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)
    assert_good(data_dir)


def test_killed_while_unpacking(data_dir: Path, raw: Path, tools: Path, package: Path) -> None:
    install(tools, dpkg_deb='#!/bin/sh\nmkdir -p "$3" && echo half > "$3"/half && sleep 30')
    child = start(data_dir)
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    while not (raw / ".partial" / "unpacked" / "half").exists():
        assert child.poll() is None
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=120)
    install(tools, dpkg_deb=DPKG_DEB)
    files.obtain(data_dir, CHECKSUMS)
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)
    assert_good(data_dir)


NONSENSE = {
    "magic": ({IMAGES: b"\1" + CONTENTS[IMAGES][1:]}, f"{IMAGES} must have magic 2051"),
    "size": ({IMAGES: CONTENTS[IMAGES] + b"\0"}, f"{IMAGES} must have"),
    "shape": ({IMAGES: idx(ARRAYS[IMAGES].reshape(20, 56, 14))}, r"\(20, 56, 14\)"),
    "no images": ({IMAGES: idx(ARRAYS[IMAGES][:0])}, r"\(0, 28, 28\)"),
    "header": ({LABELS: b"\0\0"}, f"{LABELS} must have"),
    "counts": ({LABELS: CONTENTS[TEST_LABELS]}, "20 images and 10 labels"),
    "eleven classes": ({LABELS: idx(np.arange(20) % 11)}, "up to 10"),
}


@pytest.mark.parametrize(("contents", "reason"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_with_the_right_checksum_is_an_error(
    data_dir: Path, raw: Path, contents: dict[str, bytes], reason: str
) -> None:
    fill(raw, CONTENTS | contents)
    with pytest.raises(ValueError, match=reason):
        files.read(data_dir, sha256(CONTENTS | contents))


@pytest.mark.slow
def test_real_files_have_the_checksums() -> None:
    data_dir = Path(__file__).parents[3].parent / "shared" / "data"
    if not data_dir.exists():
        pytest.skip(f"no real data in {data_dir}")
    before = snapshot(data_dir)
    files.obtain(data_dir)
    (images, labels), (test_images, test_labels) = files.read(data_dir)
    assert (images.shape, test_images.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert labels.bincount().tolist() == [6000] * 10
    assert test_labels.bincount().tolist() == [1000] * 10
    assert abs(images.numpy().mean() / 255 - 0.2860) < 1e-4  # the published mean
    assert snapshot(data_dir) == before

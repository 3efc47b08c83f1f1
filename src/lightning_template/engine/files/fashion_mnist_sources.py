"""Sources of FashionMNIST: torchvision's mirrors, and Debian's package.

Only a download needs torchvision, and it takes seconds to import: it is imported where it is used.
"""

import http.client
import logging
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

PACKAGE = "dataset-fashion-mnist"
"""Debian's and Ubuntu's package of the files."""

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the package installs the files, gzipped."""

MAX_BYTES = 1 << 26
"""More than the largest file has, 47 MB: neither a gzip bomb nor an endless reply may fill the memory."""

FAILURES = (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError)
"""What a source that does not work raises."""

_SILENCE_S = 10.0  # longest wait for a server's next bytes
_DOWNLOAD_S = 900.0  # longest download: 31 MB at 35 kB/s

_logger = logging.getLogger(__name__)


def in_order() -> list[tuple[str, Callable[[Sequence[str], Path], Iterator[Path]]]]:
    """Where to fetch from, in order: what to call it in an error, and a function that yields gzipped files."""
    return [*((url, partial(_from_mirror, url)) for url in _mirrors()), ("apt-get", _from_package)]


def _mirrors() -> list[str]:
    from torchvision.datasets import FashionMNIST

    return list(FashionMNIST.mirrors)


def _from_mirror(url: str, names: Sequence[str], scratch: Path) -> Iterator[Path]:
    _logger.info("Downloading FashionMNIST (31 MB) from %s", url)
    for name in names:
        deadline, path = time.monotonic() + _DOWNLOAD_S, scratch / f"{name}.gz"
        with urllib.request.urlopen(f"{url}{path.name}", timeout=_SILENCE_S) as response, path.open("wb") as stream:
            while chunk := response.read1(1 << 18):  # read would wait for all of it, however slow
                stream.write(chunk)
                if time.monotonic() > deadline or stream.tell() > MAX_BYTES:
                    raise TimeoutError(f"{path.name} not complete after {stream.tell()} bytes or {_DOWNLOAD_S:.0f} s")
        yield path


def _from_package(names: Sequence[str], scratch: Path) -> Iterator[Path]:
    """Download Debian's package and unpack it; needs no root."""
    if absent := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise ValueError(f"no {' and no '.join(absent)} on this machine")
    _logger.info("Downloading FashionMNIST (31 MB) with apt-get, package %s", PACKAGE)
    apt = ["apt-get", "-o", "Acquire::Retries=1", "-o", f"Acquire::http::Timeout={_SILENCE_S:.0f}"]
    problems = [_run(scratch, *apt, "download", PACKAGE)]
    if problems[-1]:  # a fresh container has no package lists, an old one lists what the archive has dropped
        for folder in ("lists", "cache"):
            (scratch / folder).mkdir(exist_ok=True)
        apt += ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
        problems.append(_run(scratch, *apt, "-o", "APT::Update::Error-Mode=any", "update"))
        problems.append(_run(scratch, *apt, "download", PACKAGE))
    if not problems[-1]:
        problems = [_run(scratch, "dpkg-deb", "-x", *map(str, scratch.glob("*.deb")), "unpacked")]
    if problems[-1]:
        raise ValueError("; ".join(filter(None, dict.fromkeys(problems))))
    for name in names:
        yield scratch / "unpacked" / SYSTEM_FOLDER.relative_to("/") / f"{name}.gz"


def _run(folder: Path, *command: str) -> str:
    """Run a command in a folder; say why it failed, or nothing."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, timeout=_DOWNLOAD_S,
        capture_output=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if "rror" in line or line.startswith("E:")]
    return (errors or [f"{command[0]} gives status {done.returncode}"])[0] if done.returncode else ""

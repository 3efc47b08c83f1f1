"""Wheels of this package, and what lies in them. Imports no torch."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = "lightning-template"
"""Name of this package."""
VENDOR = "vendor"
"""Folder of a project that holds the wheel."""
LOCK = "requirements.lock"
FIRST_DATE = (2020, 2, 2, 0, 0, 0)
"""Date of all files of a wheel: the same files make the same wheel. It is hatchling's."""
# What an installer adds to the metadata stays behind.
_METADATA = ("METADATA", "WHEEL", "entry_points.txt", "licenses/", "extra_metadata/")


def find_checkout() -> Path | None:
    """Return the checkout that this package runs from; None if it runs from an installed wheel."""
    source = Path(__file__).resolve().parents[4]
    return source.parent if source.name == "src" and (source.parent / "pyproject.toml").is_file() else None


def read_lock() -> str:
    """Return the lock of this package and of its tools.

    Raises:
        ValueError: If it is neither in a checkout nor in the installed package.
    """
    checkout = find_checkout()
    text = (checkout / LOCK).read_text() if checkout else _installed().read_text(f"extra_metadata/{LOCK}")
    if text is None:
        raise ValueError(f"the installed {PACKAGE} has no {LOCK}: install it from its wheel")
    return text


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this package from its checkout, or from its installed files.

    Args:
        folder: Where to write it.

    Returns:
        The wheel.

    Raises:
        ValueError: If hatchling is missing, the build fails, or an installed file was changed.
    """
    checkout = find_checkout()
    if checkout is None:
        return _rebuild(_installed(), folder)
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder.resolve())]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"hatchling cannot build a wheel of {checkout}: {reason_of(done)}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def reason_of(done: "subprocess.CompletedProcess[str]") -> str:
    """Return why a process failed, on one line."""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def contents(wheel: Path) -> dict[str, int]:
    """Return name and checksum of each file in a wheel but `RECORD`, whose order may differ.

    Raises:
        ValueError: If it is no wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {info.filename: info.CRC for info in archive.infolist() if not info.filename.endswith("/RECORD")}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{wheel} is no wheel: {error}") from error


def version_of(wheel: Path) -> str:
    """Return the version in the name of a wheel.

    Example:
        >>> version_of(Path("vendor/lightning_template-0.1.0-py3-none-any.whl"))
        '0.1.0'
    """
    return wheel.name.split("-")[1]


def write_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Write a wheel.

    Args:
        wheel: Where to write it.
        files: Content of each file. `RECORD`, last in the metadata, is made from them.
    """
    (metadata,) = {name.split("/")[0] for name in files if name.split("/")[0].endswith(".dist-info")}
    record = f"{metadata}/RECORD"
    lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (files | {record: "".join([*lines, f"{record},,\n"]).encode()}).items():
            info = zipfile.ZipInfo(name, FIRST_DATE)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)


def _installed() -> Distribution:
    package = Path(__file__).resolve().parents[3]
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        found = None
    if found is None or Path(str(found.locate_file(package.name))).resolve() != package:
        raise ValueError(f"{package} is neither a checkout nor an installed wheel of {PACKAGE}")
    return found


def _rebuild(installed: Distribution, folder: Path) -> Path:
    """Build a wheel from the files that an installer's `RECORD` lists."""
    name = PACKAGE.replace("-", "_")
    metadata = f"{name}-{installed.version}.dist-info/"
    files = {}
    for path in sorted(installed.files or []):
        text = path.as_posix()
        is_ours = text.startswith(f"{name}/") and path.suffix != ".pyc"
        if not is_ours and not text.startswith(tuple(metadata + end for end in _METADATA)):
            continue
        file = Path(str(path.locate()))
        content = file.read_bytes() if file.is_file() else None
        if content is None or (path.hash and _digest(content) != path.hash.value):
            raise ValueError(f"{file} was changed since {PACKAGE} was installed: install it again")
        files[text] = content
    wheel = folder / f"{name}-{installed.version}-py3-none-any.whl"
    write_wheel(wheel, files)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

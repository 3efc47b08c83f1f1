"""Calls git."""

import subprocess
import tempfile
from pathlib import Path


def git(folder: Path, *args: str) -> str:
    """Return what git prints.

    Raises:
        ValueError: If git is missing, or fails.
    """
    try:
        return subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ValueError("git is not installed: a project needs it for its history and for upgrades") from error
    except subprocess.CalledProcessError as error:
        raise ValueError(f"git {args[0]} failed in {folder}: {error.stderr.strip()}") from error


def merge(mine: bytes, base: bytes, theirs: bytes, versions: tuple[str, str]) -> tuple[bytes, bytes]:
    """Merge two changes of a text.

    Args:
        mine: The owner's text.
        base: The text that both come from.
        theirs: The new text.
        versions: Names of base and new text for the marks of a conflict.

    Returns:
        The merged text, with the marks of git where both changed the same lines; and one with the owner's lines there.

    Raises:
        ValueError: If git is missing, or cannot merge, as with binary files.
    """
    labels = [word for label in ("yours", *versions) for word in ("-L", label)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("mine", "base", "theirs")]
        for path, text in zip(paths, (mine, base, theirs), strict=True):
            path.write_bytes(text)
        words = ["git", "merge-file", "-p", *labels]
        marked, ours = (
            subprocess.run([*words, *option, *map(str, paths)], capture_output=True, check=False)
            for option in ([], ["--ours"])
        )
    if ours.returncode != 0:
        raise ValueError(f"git cannot merge: {ours.stderr.decode(errors='replace').strip()}")
    return marked.stdout, ours.stdout

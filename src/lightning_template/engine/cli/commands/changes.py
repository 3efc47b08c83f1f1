"""Changes of a project's files by an upgrade."""

import difflib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lightning_template.engine.cli.commands.git import merge
from lightning_template.engine.cli.commands.locks import merge_locks
from lightning_template.engine.cli.commands.new_project import write_file
from lightning_template.engine.cli.commands.wheels import LOCK


class Change(NamedTuple):
    """What becomes of a file. Content None: there is no file.

    Attributes:
        path: The file, relative to the project.
        verb: What happens to it, in one word.
        note: Its explanation.
        tested: Content while the tests run: in conflicts, the owner's lines.
        text: Content afterwards: in conflicts, the marks of git.
    """

    path: str
    verb: str
    note: str
    tested: bytes | None
    text: bytes | None

    def __str__(self) -> str:
        return f"{self.verb:<10} {self.path}{self.note and ': '}{self.note}"


def changes_of(folder: Path, old: Mapping[str, str], new: Mapping[str, str], versions: tuple[str, str]) -> list[Change]:
    """Return what an upgrade does to a project's files.

    Args:
        folder: The project.
        old: Texts of the version that the project has.
        new: Texts of the new version.
        versions: Names of both versions.

    Raises:
        ValueError: If a file cannot be read or merged.
    """
    changes = []
    for path in sorted(name for name in {*old, *new} if old.get(name) != new.get(name)):
        file = folder / path
        mine = file.read_bytes() if file.is_file() else None
        base, theirs = (texts[path].encode() if path in texts else None for texts in (old, new))
        if mine != theirs:
            changes.append(_change(path, mine, base, theirs, versions))
    return changes


def _change(
    path: str, mine: bytes | None, base: bytes | None, theirs: bytes | None, versions: tuple[str, str]
) -> Change:
    if mine == base:
        verb = "added" if mine is None else "deleted" if theirs is None else "changed"
        return Change(path, verb, _counts(mine, theirs), theirs, theirs)
    if theirs is None:
        return Change(path, "kept", "yours differs; the new version has no such file", mine, mine)
    if mine is None:
        return Change(path, "left out", "you deleted it; the new version changed it", mine, mine)
    if path == LOCK:
        merged = merge_locks(*(text.decode() for text in (mine, base or b"", theirs))).encode()
        return Change(path, "merged", _counts(mine, merged), merged, merged)
    marked, ours = merge(mine, base or b"", theirs, versions)
    if marked != ours:
        return Change(path, "conflict", "look for <<<<<<<", ours, marked)
    return Change(path, "merged", _counts(mine, marked), marked, marked)


def _counts(before: bytes | None, after: bytes | None) -> str:
    old, new = ((text or b"").decode(errors="replace").splitlines() for text in (before, after))
    signs = [line[0] for line in difflib.unified_diff(old, new, lineterm="", n=0)][2:]
    return f"+{signs.count('+')} -{signs.count('-')} lines"


class Snapshot:
    """Files of a project as they were before they were written.

    Args:
        folder: The project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: dict[str, bytes | None] = {}
        self._made: list[Path] = []

    def write(self, files: Mapping[str, bytes | None]) -> None:
        """Write or delete files.

        Args:
            files: Content of each file; None deletes it.
        """
        for name, content in files.items():
            path = self.folder / name
            self._before.setdefault(name, path.read_bytes() if path.is_file() else None)
            self._made += [above for above in path.parents if not above.exists() and content is not None]
            _put(path, content)

    def restore(self) -> None:
        """Bring back what was there, and delete what was not."""
        for name, content in self._before.items():
            _put(self.folder / name, content)
        for folder in self._made:  # the innermost comes first
            with suppress(OSError):  # the tests may have written into it
                folder.rmdir()


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, content)

"""Locks: requirement files with a version and hashes for each package. Imports no torch."""

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from lightning_template.engine.cli.commands.wheels import PACKAGE, VENDOR


def project_lock(text: str, tools: Collection[str], wheel: Path) -> str:
    """Return a project's lock.

    Args:
        text: Lock of this package and of all its tools.
        tools: Tools that the project has.
        wheel: Wheel of this package.
    """
    requirers = _requirers(text)
    kept = {name for name, others in requirers.items() if name in tools or PACKAGE in others}
    while more := {name for name, others in requirers.items() if others & kept} - kept:
        kept |= more
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = f"{VENDOR}/{wheel.name} \\\n    --hash=sha256:{digest}\n"
    return _join({name: entry for name, entry in _entries(text).items() if name in kept} | {PACKAGE: own})


def merge_locks(mine: str, base: str, theirs: str) -> str:
    """Return the lock of a project after an upgrade.

    Args:
        mine: The project's lock. What its owner added or changed stays.
        base: The lock that the project was made with.
        theirs: The lock of the new version.
    """
    ours, old, new = _entries(mine), _entries(base), _entries(theirs)
    return _join({name: (new if ours.get(name) == old.get(name) else ours).get(name, "") for name in ours | new})


def _entries(text: str) -> dict[str, str]:
    """Return the lines of each package without comments, of options of an installer under an empty name."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if re.match(r"\w", line):
            name = _name(line)
        if line.strip() and not line.lstrip().startswith("#"):
            entries[name] = f"{entries.get(name, '')}{line}\n"
    return entries


def _requirers(text: str) -> Mapping[str, set[str]]:
    """Return which packages require each package, as comments tell. This one's name is `PACKAGE`, its tools' none."""
    requirers: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if re.match(r"\w", line):
            name = _name(line)
        elif match := re.match(r" +#(?: via|  ) +(.+)", line):
            requirers.setdefault(name, set()).add(match[1].removesuffix(" (pyproject.toml)"))
    return requirers


def _name(line: str) -> str:
    """Return the name of a package from the first line of its entry.

    Example:
        >>> _name("jsonargparse[signatures]==4.53.0 "), _name("vendor/lightning_template-0.1.0-py3-none-any.whl ")
        ('jsonargparse', 'lightning-template')
    """
    name = line.split(" ")[0].removeprefix(f"{VENDOR}/")
    return re.split(r"-" if name.endswith(".whl") else r"[\[=@]", name)[0].replace("_", "-").lower()


def _join(entries: Mapping[str, str]) -> str:
    return "".join(entries[name] for name in sorted(entries))

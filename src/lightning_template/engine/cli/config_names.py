"""Configuration files by their names: `mlp` is `configs/**/mlp.yaml`, `--with bf16` is `configs/with/bf16.yaml`."""

from collections.abc import Sequence
from pathlib import Path

from lightning_template.engine.process.errors import nearest
from lightning_template.engine.process.slips import joined

CONFIGS = Path("configs")
"""Folder of the configurations, in the working directory."""
OVERLAYS = CONFIGS / "with"
"""Folder of the overlays that `--with` names."""


def find_config(name: str, folder: Path = CONFIGS) -> str:
    """Return the configuration file that a path or a name means; a path that is not there is returned as it is.

    Args:
        name: Path of a file, or the end of its path in `folder` without `.yaml`, such as `mlp` or `line/mlp`.
        folder: Where to look for names.

    Raises:
        ValueError: If there is none of this name, or there are several.
    """
    if Path(name).is_file() or name.endswith((".yaml", ".yml", ".json")) or not folder.is_dir():
        return name
    files = {file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*.yaml"))}
    found = [name] if name in files else [other for other in files if other.endswith(f"/{name}")]
    if len(found) == 1:
        return str(files[found[0]])
    if found:
        raise ValueError(f"several configurations are named {name}: give {joined(found, 'or')}")
    words = {word: other for other in files for word in (other, other.rpartition("/")[2])}
    raise ValueError(f"no configuration {name} in {folder}{nearest(name, words)}")


def with_paths(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return options with paths in place of names, those of overlays after all others; and these paths.

    Raises:
        ValueError: If a configuration or an overlay cannot be had.
    """
    others: list[str] = []
    overlays: list[str] = []
    rest = iter(options)
    end = 0
    for option in rest:
        name, equals, value = option.partition("=")
        if name not in ("--config", "-c", "--with"):
            others.append(option)
            continue
        value = value if equals else next(rest, "")
        if not value or value.startswith("--"):
            raise ValueError(f"{name} needs the name of a configuration")
        if name == "--with":
            overlays.append(_find_overlay(value))
        else:
            others += [f"{name}={find_config(value)}"] if equals else [name, find_config(value)]
            end = len(others)
    added = [word for overlay in overlays for word in ("--config", overlay)]
    return [*others[:end], *added, *others[end:]], overlays


def _find_overlay(name: str) -> str:
    if not OVERLAYS.is_dir() and not Path(name).is_file():
        raise ValueError(f"--with {name} needs a folder {OVERLAYS} in the working directory")
    return find_config(name, OVERLAYS)


def overlay_files() -> list[Path]:
    """Return the overlays that `--with` names."""
    return sorted(OVERLAYS.glob("*.yaml"))


def overlay_lines() -> str:
    """Return lines that list the overlays, for the help; nothing where there are none."""
    lines = [f"  {file.stem:<20} {description(file)}\n" for file in overlay_files()]
    return "".join(["\nOverlays for --with:\n\n", *lines]) if lines else ""


def description(file: Path) -> str:
    """Return the first line of an overlay, without what it begins with."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return next(lines, "").removeprefix("#").strip().removeprefix("Overlay:").strip()

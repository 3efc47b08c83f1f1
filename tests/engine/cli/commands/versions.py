"""Made-up versions of this package, as wheels."""

import zipfile
from pathlib import Path

from lightning_template import __version__
from lightning_template.engine.cli.commands.skeleton import Project
from lightning_template.engine.cli.commands.upgrade import old_skeleton
from lightning_template.engine.cli.commands.wheels import write_wheel

PROJECT = Project("flower-power", "classification", "custom")
TEMPLATES = "lightning_template/engine/cli/commands/templates"


def made_up(wheel: Path, folder: Path, version: str, edits: dict[str, tuple[str, str]]) -> Path:
    """Write a wheel that differs from another one in its version and in some files.

    Args:
        wheel: The other one.
        folder: Where to write it.
        version: Its version.
        edits: Old and new text by the end of a file's name.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}
    edits = {"/METADATA": (f"Version: {__version__}", f"Version: {version}"), **edits}
    edits["lightning_template/__init__.py"] = (f'"{__version__}"', f'"{version}"')
    for end, (old, new) in edits.items():
        (name,) = (name for name in files if name.endswith(end))
        assert old.encode() in files[name], (end, old)
        files[name] = files[name].replace(old.encode(), new.encode(), 1)
    metadata = f"-{__version__}.dist-info/", f"-{version}.dist-info/"
    target = folder / f"lightning_template-{version}-py3-none-any.whl"
    write_wheel(target, {name.replace(*metadata): content for name, content in files.items()})
    return target


def make_project(folder: Path, wheel: Path, project: Project = PROJECT) -> dict[str, str]:
    """Write the files that a wheel makes a project of, and the wheel; return their texts."""
    texts = old_skeleton(project, wheel)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "vendor").mkdir()
    (folder / "vendor" / wheel.name).write_bytes(wheel.read_bytes())
    return texts


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

"""Texts of a project that `new project` makes. Imports no torch."""

import tomllib
from pathlib import Path
from string import Template
from typing import NamedTuple

from lightning_template.engine.cli.commands.locks import project_lock
from lightning_template.engine.cli.commands.samples import SAMPLES
from lightning_template.engine.cli.commands.task_kinds import DATA, KINDS
from lightning_template.engine.cli.commands.task_texts import (
    Place,
    read_template,
    snake_case,
    task_name,
    task_texts,
)
from lightning_template.engine.cli.commands.wheels import read_lock

TOOLS = ("mypy", "pytest", "ruff", "uv")
"""Tools of a project; the lock pins them too."""


class Project(NamedTuple):
    """What tells one skeleton from another. A project's `pyproject.toml` holds it for `new task` and `upgrade`.

    Attributes:
        name: Name of the project, and of its first task.
        kind: Kind of its first task, one of `KINDS`.
        data: Source of the task's data, one of `DATA`.
    """

    name: str
    kind: str
    data: str

    @property
    def package(self) -> str:
        """Name of the project's package."""
        return snake_case(self.name)


def read_project(folder: Path) -> Project | None:
    """Return what a project's `pyproject.toml` says of it; None if the folder holds no project.

    Raises:
        ValueError: If the file cannot be read, or does not say all of it.
    """
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("lightning-template")
    except ValueError as error:
        raise ValueError(f"cannot read {file}: {error}") from error
    if table is None:
        return None
    values = table if isinstance(table, dict) else {}
    project = Project(*(str(values.get(field, "")) for field in Project._fields))
    if not project.name or project.kind not in KINDS or project.data not in DATA:
        raise ValueError(f"`tool.lightning-template` in {file} must have a name, a kind and data, got {table}")
    task_name(*project)
    return project


def place_in_project(project: Project, folder: Path, name: str) -> Place:
    """Return the paths of a task's files in a project."""
    source = Path("src", project.package)
    modules = source / f"{name}_task.py", source / f"{name}_data.py"
    return Place(folder, *modules, Path("configs", f"{name}.yaml"), Path("tests", f"test_{name}.py"))


def skeleton(project: Project, wheel: Path) -> dict[str, str]:
    """Return the text of each file of a project, the wheel excepted.

    `upgrade` of later versions calls this function as the old wheel has it: module, name and arguments must stay.

    Args:
        project: The project.
        wheel: The wheel of this package that the project depends on.
    """
    values = project._asdict() | {
        "project": project.name.replace("_", "-"),
        "package": project.package,
        "title": project.package.replace("_", " ").capitalize(),
        "tools": "\n  ".join(f'"{tool}",' for tool in TOOLS).removesuffix(","),
        "wheel": wheel.name,
        "data_file": SAMPLES.get(project.data, "src/{0}/{0}_data.py").format(project.package),
    }
    place = place_in_project(project, Path(), project.package)
    texts = task_texts(project.package, project.kind, project.data, place)
    return {
        "pyproject.toml": Template(read_template("project/pyproject")).substitute(values),
        "README.md": Template(read_template("project/readme")).substitute(values),
        "requirements.lock": project_lock(read_lock(), TOOLS, wheel),
        "scripts/run": read_template("project/run"),
        ".ci/run": read_template("project/ci"),
        ".github/workflows/test.yml": read_template("project/workflow"),
        ".gitignore": read_template("project/gitignore"),
        "lightning_logs/.gitkeep": "",
        f"src/{project.package}/__init__.py": f'"""{values["title"]}."""\n',
    } | {file.as_posix(): text for file, text in texts.items()}

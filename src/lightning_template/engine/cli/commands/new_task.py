"""Writes the files of a new task."""

import shlex
from pathlib import Path

from lightning_template.engine.cli.commands.samples import SAMPLES, write_samples
from lightning_template.engine.cli.commands.skeleton import place_in_project, read_project
from lightning_template.engine.cli.commands.task_kinds import KINDS
from lightning_template.engine.cli.commands.task_texts import Place, task_name, task_texts
from lightning_template.engine.runs.directories import command


def new_task(name: str, kind: str, data: str, path: str) -> str:
    """Write a task, a datamodule, a configuration and a test.

    Args:
        name: Name of the task, of letters, digits and underscores.
        kind: One of `KINDS`.
        data: One of `DATA`.
        path: Project, clone of this one, package, or any folder, to write into.

    Returns:
        What was written, and what to type next.

    Raises:
        ValueError: If the name cannot be one, kind and data do not go together, or a file is there already.
    """
    name = task_name(name, kind, data)
    if not Path(path).is_dir():
        raise ValueError(f"no folder {path} to write into")
    place = _place(Path(path), name)
    texts = task_texts(name, kind, data, place)
    in_the_way = [file for file in texts if (place.top / file).exists()]
    if in_the_way:
        raise ValueError(f"{place.top / in_the_way[0]} is there already, and nothing is overwritten: take another name")
    for file, text in texts.items():
        (place.top / file).parent.mkdir(parents=True, exist_ok=True)
        (place.top / file).write_text(text, encoding="utf-8")
    lines = [f"wrote      {place.top / file}" for file in texts]
    if data in SAMPLES and not (source := place.top / SAMPLES[data].format(name)).exists():
        write_samples(data, source, KINDS[kind].samples)
        lines.append(f"wrote      {source}: made-up samples, put your own there")
    return "\n".join(lines + next_steps(_steps(place))) + "\n"


def next_steps(steps: list[str]) -> list[str]:
    """Return lines that name the commands to type next."""
    return [f"{'' if number else 'then':<10} {step}" for number, step in enumerate(steps)]


def _steps(place: Place) -> list[str]:
    return [
        *([f"cd {shlex.quote(str(place.top))}"] if place.top.resolve() != Path.cwd() else []),
        command("fit", "--config", str(place.config)),
        command("check", "--config", str(place.config)),
        command(str(place.test), program="pytest"),
        command("--logdir", "lightning_logs", program="tensorboard"),
    ]


def _place(folder: Path, name: str) -> Place:
    if project := read_project(folder):
        return place_in_project(project, folder, name)
    packages = [room.parent for room in folder.glob("src/*/tasks") if (room / "__init__.py").is_file()]
    if len(packages) == 1:  # a clone of this project
        package = packages[0].relative_to(folder)
        modules = package / "tasks" / f"{name}.py", package / "datamodules" / f"{name}.py"
        return Place(folder, *modules, Path("configs", f"{name}.yaml"), Path("tests", "tasks", f"test_{name}.py"))
    top = folder.resolve()
    while (top / "__init__.py").is_file():
        top = top.parent
    inside = folder.resolve().relative_to(top)
    ends = ("{}_task.py", "{}_data.py", "{}.yaml", "test_{}.py")
    return Place(top, *(inside / end.format(name) for end in ends))

"""Writes the files of a new task."""

import keyword
import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from lightning_template.engine.cli.commands.samples import SAMPLES, write_samples
from lightning_template.engine.runs.directories import command

KINDS = ("classification", "regression", "custom")
"""What a task can be: one of the two that are there, or one that says everything itself."""
DATA = ("custom", *SAMPLES)
"""Where its data can come from: made up by its own code, or files."""
MAX_LENGTH = 24
"""Longest name of a task; lines stay short enough."""


class Place(NamedTuple):
    """Where the files of a task go.

    Attributes:
        top: Folder that commands are typed in; the files are relative to it.
        task: The task's file.
        data: The datamodule's file.
        config: The configuration.
        test: The test.
    """

    top: Path
    task: Path
    data: Path
    config: Path
    test: Path


def new_task(name: str, kind: str, data: str, path: str) -> str:
    """Write a task, a datamodule, a configuration and a test.

    Args:
        name: Name of the task, of letters, digits and underscores.
        kind: One of `KINDS`.
        data: One of `DATA`.
        path: Project of the template's shape, package, or any folder, to write into.

    Returns:
        What was written, and what to type next.

    Raises:
        ValueError: If the name cannot be one, kind and data do not go together, or a file is there already.
    """
    name = snake_case(name)
    if len(name) > MAX_LENGTH:
        raise ValueError(f"a task's name must be of {MAX_LENGTH} characters at most, got {name}")
    if data == "image-folder" and kind != "classification":
        raise ValueError(f"--data image-folder has a class for each image: it needs --kind classification, got {kind}")
    if not Path(path).is_dir():
        raise ValueError(f"no folder {path} to write into")
    place = _place(Path(path), name)
    values = _values(name, kind, data, place)
    texts = {
        place.task: _fill(f"task_{kind}", values),
        place.data: _fill(f"data_{data}", values),
        place.config: _fill("config", values),
        place.test: _fill("test", values),
    }
    in_the_way = [file for file in texts if (place.top / file).exists()]
    if in_the_way:
        raise ValueError(f"{place.top / in_the_way[0]} is there already, and nothing is overwritten: take another name")
    for file, text in texts.items():
        (place.top / file).parent.mkdir(parents=True, exist_ok=True)
        (place.top / file).write_text(text)
    lines = [f"wrote      {place.top / file}" for file in texts]
    if data in SAMPLES and not (source := place.top / SAMPLES[data].format(name)).exists():
        write_samples(data, source, values["task"])
        lines.append(f"wrote      {source}: made-up samples, put your own there")
    steps = [
        *([f"cd {shlex.quote(str(place.top))}"] if place.top.resolve() != Path.cwd() else []),
        command("fit", "--config", str(place.config)),
        command("check", "--config", str(place.config)),
        command(str(place.test), program="pytest"),
        command("--logdir", "lightning_logs", program="tensorboard"),
    ]
    return "\n".join(lines + [f"{'then' if step is steps[0] else '':<10} {step}" for step in steps]) + "\n"


def snake_case(name: str) -> str:
    """Return a name as a module has it.

    Raises:
        ValueError: If a module cannot be named so.

    Example:
        >>> snake_case("FlowerSpecies"), snake_case("flower-species")
        ('flower_species', 'flower_species')
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", snake) or keyword.iskeyword(snake):
        raise ValueError(f"a name must be of letters, digits and underscores, and no word of Python's, got {name!r}")
    return snake


def _place(folder: Path, name: str) -> Place:
    packages = [room.parent for room in folder.glob("src/*/tasks") if (room / "__init__.py").is_file()]
    if len(packages) == 1:
        package = packages[0].relative_to(folder)
        modules = package / "tasks" / f"{name}.py", package / "datamodules" / f"{name}.py"
        return Place(folder, *modules, Path("configs", f"{name}.yaml"), Path("tests", "tasks", f"test_{name}.py"))
    top = folder.resolve()
    while (top / "__init__.py").is_file():
        top = top.parent
    inside = folder.resolve().relative_to(top)
    ends = ("{}_task.py", "{}_data.py", "{}.yaml", "test_{}.py")
    return Place(top, *(inside / end.format(name) for end in ends))


def _values(name: str, kind: str, data: str, place: Place) -> dict[str, str]:
    """Return what the templates have blanks for."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    task = "classification" if kind == "classification" else "regression"  # of the data
    task_module, data_module = (
        ".".join(file.with_suffix("").parts).removeprefix("src.") for file in (place.task, place.data)
    )
    arguments: dict[str, object] = (
        {"in_channels": 3, "channels": [16, 32], "image_size": 32}
        if data == "image-folder"
        else {"in_features": 4, "hidden_features": [32]}
    )
    arguments["out_features"] = 1 if kind == "regression" else 2
    network = "ConvNet" if data == "image-folder" else "MLP"
    ours = ["from lightning_template import __main__", "from lightning_template.load import load_config"]
    ours.append("from lightning_template.testing import parametrize_checks")
    theirs = ["import pytest", "from lightning.pytorch import LightningDataModule, LightningModule"]
    source = "data_dir" if data == "image-folder" else "path"
    skip = f"""
        if not Path(vars(make_datamodule()).get("{source}", TOP)).exists():
            pytest.skip("the data are not on this machine")"""
    is_ours = task_module.startswith("lightning_template.")  # else this package is one that is installed
    blocks = [theirs, ours] if is_ours else [theirs + ours]
    targets = {
        "classification": ("classes, whether their sum is positive", "(inputs.sum(dim=1) > 0).long()"),
        "regression": ("targets `(1,)`, their squared length", "inputs.square().sum(dim=1, keepdim=True)"),
    }
    return {
        "name": name,
        "Name": camel,
        "words": name.replace("_", " "),
        "Words": name.replace("_", " ").capitalize(),
        "task": task,
        "task_module": task_module,
        "data_module": data_module,
        "config": place.config.as_posix(),
        "command": f"lightning-template fit --config {place.config.as_posix()}",
        "depth": str(len(place.test.parts) - 1),
        "imports": "\n\n".join("\n".join(block) for block in blocks),
        "skip": skip if data in SAMPLES else "",
        "network_class": network,
        "network_options": ", ".join(f"{key}: {value}" for key, value in arguments.items()),
        "is_ours": "yes" if is_ours else "",
        "num_classes_line": "\n    num_classes: 2" if task == "classification" else "",
        "target_words": targets[task][0],
        "targets": targets[task][1],
    }


def _fill(template: str, values: dict[str, str]) -> str:
    text = (files("lightning_template.engine.cli.commands") / "templates" / f"{template}.txt").read_text(
        encoding="utf-8"
    )
    text = Template(text).substitute(values)
    if values["is_ours"]:
        return text
    # Linters want the packages that are installed in one block.
    return re.sub(
        r"((?:^(?:from|import) torch.*\n)+)\n(from lightning_template.*\n)", _in_one_block, text, flags=re.MULTILINE
    )


def _in_one_block(blocks: re.Match[str]) -> str:
    lines = (blocks[1] + blocks[2]).splitlines(keepends=True)
    return "".join(sorted(lines, key=lambda line: (line.startswith("from"), line)))

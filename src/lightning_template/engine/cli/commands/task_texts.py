"""Texts of a new task: its class, its datamodule, its configuration and its test. Imports no torch."""

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from lightning_template.engine.cli.commands.samples import SAMPLES
from lightning_template.engine.cli.commands.task_kinds import KINDS, check_pair, options_of

MAX_LENGTH = 24
"""Longest name of a task; lines stay short enough."""


class Place(NamedTuple):
    """Paths of the files of a task.

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


def task_name(name: str, kind: str, data: str) -> str:
    """Return the name of a task as a module has it.

    Raises:
        ValueError: If a task cannot be named so, or kind and data do not go together.
    """
    name = snake_case(name)
    if len(name) > MAX_LENGTH:
        raise ValueError(f"a task's name must be of {MAX_LENGTH} characters at most, got {name}")
    check_pair(kind, data)
    return name


def task_texts(name: str, kind: str, data: str, place: Place) -> dict[Path, str]:
    """Return the texts of the files of a task.

    Args:
        name: Name of the task, from `task_name`.
        kind: One of `KINDS`.
        data: One of `DATA`.
        place: Paths of the files.
    """
    values = _names(name, place) | _data(name, kind, data, place) | _network(kind, data)
    templates = {place.task: f"task_{kind}", place.config: "config", place.test: "test"}
    if module := module_of_data(kind, data):
        templates[place.data] = module
    return {file: _fill(template, values) for file, template in templates.items()}


def read_template(name: str) -> str:
    """Return the text of a template."""
    return (files(__package__) / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _names(name: str, place: Place) -> dict[str, str]:
    task_module = _module(place.task)
    is_ours = task_module.startswith("lightning_template.")  # else this package is an installed one
    ours = ["from lightning_template import __main__", "from lightning_template.load import load_config, load_data"]
    ours.append("from lightning_template.testing import parametrize_checks")
    theirs = ["import pytest", "from lightning.pytorch import LightningDataModule, LightningModule"]
    blocks = [theirs, ours] if is_ours else [theirs + ours]
    return {
        "name": name,
        "Name": "".join(part.capitalize() for part in name.split("_")),
        "words": name.replace("_", " "),
        "Words": name.replace("_", " ").capitalize(),
        "task_module": task_module,
        "config_folder": place.config.parent.as_posix(),
        "config_name": place.config.name,
        "command": f"lightning-template fit --config {place.config.as_posix()}",
        "depth": str(len(place.test.parts) - 1),
        "imports": "\n\n".join("\n".join(block) for block in blocks),
        "is_ours": "yes" if is_ours else "",
    }


def _module(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removeprefix("src.")


def module_of_data(kind: str, data: str) -> str:
    """Return the template of the data's module; empty if the configuration names a datamodule of this package."""
    return "data_custom" if data == "custom" else "data_pairs" if kind == "pairs" else ""


def _data(name: str, kind: str, data: str, place: Place) -> dict[str, str]:
    made_up, values = KINDS[kind].made_up, {"skip": "", "data_options": ""}
    if module_of_data(kind, data):
        class_name = "".join(part.capitalize() for part in name.split("_"))
        values["data_class"] = f"{_module(place.data)}.{class_name}DataModule"
    if data in SAMPLES:
        class_name, *lines = options_of(kind, data)
        lines[0] += SAMPLES[data].format(name)
        values = {"data_class": f"lightning_template.datamodules.{class_name}"} | values
        values["data_options"] = "".join(f"\n    {line}" for line in lines)
        values["skip"] = f"""
        if not Path(vars(make_datamodule()).get("{lines[0].split(":")[0]}", TOP)).exists():
            pytest.skip("the data are not on this machine")"""
    return values | {
        "input_words": made_up.words,
        "sizes": "\n    ".join(f"{name} = {value}" for name, value in made_up.sizes.items()),
        "inputs": made_up.inputs,
        "target_words": made_up.target_words,
        "targets": made_up.targets,
    }


def _network(kind: str, data: str) -> dict[str, str]:
    network = KINDS[kind].image_network if data == "image-folder" else KINDS[kind].network
    name, options = network.split(" ", 1)
    return {"network_class": name, "network_options": options}


def _fill(template: str, values: dict[str, str]) -> str:
    text = Template(read_template(template)).substitute(values)
    if values["is_ours"]:
        return text
    # Linters want the packages that are installed in one block.
    return re.sub(
        r"((?:^(?:from|import) torch.*\n)+)\n(from lightning_template.*\n)", _in_one_block, text, flags=re.MULTILINE
    )


def _in_one_block(blocks: re.Match[str]) -> str:
    lines = (blocks[1] + blocks[2]).splitlines(keepends=True)
    return "".join(sorted(lines, key=lambda line: (line.startswith("from"), line)))

"""The command line, read without torch, which takes seconds to import: configurations, checkpoint, experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lightning_template.engine.cli.config_names import with_paths
from lightning_template.engine.cli.yaml_text import check_yaml
from lightning_template.engine.process.errors import nearest
from lightning_template.engine.runs import slurm
from lightning_template.engine.runs.digests import check_text
from lightning_template.engine.runs.directories import check_experiment
from lightning_template.engine.runs.resolve import CHECKPOINT_WORDS, resolve_checkpoint, run_of

EVALUATING = ("validate", "test", "predict")
NO_CHECKPOINT = ("--allow_untrained", "--print_config", "help")
"""Ends of the options with which these need no checkpoint."""


@dataclass(frozen=True)
class CommandLine:
    """A subcommand of the Trainer, and where it reads and writes.

    Attributes:
        args: Subcommand and arguments; the checkpoint is a file. Where those given name no `model`, or no `data` that
            the checkpoint's run has, the run's configuration comes first, so that everything given overrides it.
        experiment: Name of the experiment.
        root: Folder that holds `lightning_logs`.
        run: Directory of the run that the checkpoint belongs to.
        typed: Subcommand and arguments as they were typed.
        origin: Says which run's configuration is used; empty where it is the user's own alone.
        marks: Further entries of the run's `state.json`.
    """

    args: list[str]
    experiment: str
    root: Path
    run: Path | None
    typed: tuple[str, ...] = ()
    origin: str = ""
    marks: Mapping[str, Any] = field(default_factory=dict)


def read_command_line(args: Sequence[str]) -> CommandLine:
    """Resolve what `args`, a subcommand and its options, name.

    Raises:
        ValueError: If a configuration or a checkpoint cannot be had, or is needed and missing.
    """
    subcommand, *options = args
    options, overlays = with_paths(options)
    _check_structure(options)
    config_files = values_of(options, "--config", "-c")
    configs = [read_config(Path(file)) for file in config_files]

    def setting(option: str) -> Any:
        given = values_of(options, f"--{option}")
        in_configs = [value for config in configs if (value := _lookup(config, option)) is not None]
        return next(reversed([*in_configs, *given]), None)

    root = Path(setting("trainer.default_root_dir") or ".")
    experiment = _experiment(setting("experiment"), [file for file in config_files if file not in overlays])
    where = setting("ckpt_path")
    if subcommand == "fit":  # after this job was queued again
        where = slurm.run_to_go_on_with(root, experiment or "default", args) or where
    run, origin = None, ""
    if where is not None:
        if where in CHECKPOINT_WORDS and experiment is None:
            raise ValueError(f"`ckpt_path` {where} of which experiment? Add --config or --experiment")
        checkpoint = resolve_checkpoint(str(where), root, experiment or "", "last" if subcommand == "fit" else "best")
        run = run_of(checkpoint)
        options = [*_without(options, "--ckpt_path"), "--ckpt_path", str(checkpoint)]
        if run is not None and not _is_complete(configs, options, run):
            origin = f"configuration: {run / 'config.yaml'}"
            origin += f", overridden by {', '.join(config_files)}" if config_files else ""
            options = ["--config", str(run / "config.yaml"), *options]
            configs.insert(0, read_config(run / "config.yaml"))
            experiment = experiment or _experiment(setting("experiment"), [])
    else:
        _check_needs_none(subcommand, options)
    _check_parts(configs, options)
    return CommandLine([subcommand, *options], experiment or "default", root, run, tuple(args), origin)


def _check_needs_none(subcommand: str, options: Sequence[str]) -> None:
    """Check that a subcommand can do without a checkpoint."""
    if subcommand in EVALUATING and not any(option.split("=")[0].endswith(NO_CHECKPOINT) for option in options):
        raise ValueError(
            f"`{subcommand}` needs --ckpt_path (best, last, a checkpoint file or a run directory); "
            "to use untrained weights on purpose, add --allow_untrained"
        )


def _is_complete(configs: Sequence[Mapping[str, Any]], options: Sequence[str], run: Path) -> bool:
    """Tell whether configurations and options name the classes of `model` and `data`, and so need not those of a run.

    A module with its own loaders needs no `data`.
    """
    if not _names_class("model", configs, options):
        return False
    return _names_class("data", configs, options) or not read_config(run / "config.yaml").get("data")


def _names_class(key: str, configs: Sequence[Mapping[str, Any]], options: Sequence[str]) -> bool:
    parts = [config.get(key) for config in configs]
    named = [part.get("class_path") if isinstance(part, Mapping) else part for part in parts]
    return any(isinstance(name, str) for name in named) or bool(values_of(options, f"--{key}", f"--{key}.class_path"))


def _check_parts(configs: Sequence[Mapping[str, Any]], options: Sequence[str]) -> None:
    """Check that the parts of configurations are made as they have to be.

    Raises:
        ValueError: If one is no mapping, or a class has no `class_path`.
    """
    for config in configs:
        for option in ("trainer", "callbacks", "model", "data", "model.init_args", "data.init_args"):
            part = _lookup(config, option)
            if part is not None and not isinstance(part, Mapping | str):
                raise ValueError(f"`{option}` must hold names and values, got {part!s:.50}")
    for key in ("model", "data"):
        if any(isinstance(config.get(key), Mapping) for config in configs) and not _names_class(key, configs, options):
            raise ValueError(f"`{key}` needs a `class_path`, the full path of its class")


def _experiment(given: Any, config_files: Sequence[str]) -> str | None:
    """Return the name of the experiment: the one that is given, or that of the first configuration file."""
    if given is not None:
        return check_experiment(given)
    return check_experiment(Path(config_files[0]).stem) if config_files else None


def values_of(options: Sequence[str], *names: str) -> list[str]:
    """Return the values of an option, given as `--name value` or `--name=value`, in order."""
    values = []
    for position, option in enumerate(options):
        name, equals, value = option.partition("=")
        if name in names:
            values += [value] if equals else list(options[position + 1 : position + 2])
    return values


def _without(options: Sequence[str], name: str) -> list[str]:
    """Return the options without one that takes a value."""
    kept: list[str] = []
    skip = False
    for option in options:
        if not skip and option != name and not option.startswith(f"{name}="):
            kept.append(option)
        skip = not skip and option == name
    return kept


def _check_structure(options: Sequence[str]) -> None:
    """Check the YAML and JSON that options have for values."""
    for before, option in zip(["", *options], options, strict=False):
        name, equals, value = option.partition("=") if option.startswith("-") else (before, "=", option)
        if equals:
            check_yaml(value, name)


def read_config(file: Path) -> Mapping[str, Any]:
    """Return what a configuration file holds.

    Raises:
        ValueError: If there is none, it is not YAML of keys and values, it has no end, or it does not match its digest.
    """
    if not file.is_file():
        others = [str(other) for other in file.parent.glob("*.yaml")] if file.parent.is_dir() else []
        raise ValueError(f"no configuration file {file}{nearest(str(file), others)}")
    try:
        content = file.read_bytes()
        check_text(file, content)
        check_yaml(content, str(file))
        config = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, Mapping):
        raise ValueError(f"{file} must hold keys such as `model` and `data`, got {type(config).__name__}")
    return config


def _lookup(config: Mapping[str, Any], option: str) -> Any:
    value: Any = config
    for key in option.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

"""Configurations as a run saves them: the whole one, and what differs from the defaults of its classes."""

from collections.abc import Mapping
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from lightning_template.engine.cli.options import NOT_OF_THE_EXPERIMENT
from lightning_template.engine.cli.parser import signature


def config_files(parser: ArgumentParser, config: Namespace, dumped: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of `config.yaml` and `overrides.yaml`.

    Args:
        parser: Parser of the subcommand.
        config: Its configuration.
        dumped: The configuration as plain values.
    """
    config = config.clone()
    for key in NOT_OF_THE_EXPERIMENT:
        config.pop(key, None)
    experiment = {key: value for key, value in dumped.items() if key not in NOT_OF_THE_EXPERIMENT}
    changed = yaml.safe_load(parser.dump(config, skip_default=True, skip_validation=True))
    return {
        "config.yaml": yaml.safe_dump(experiment, sort_keys=False),
        "overrides.yaml": yaml.safe_dump(strip_defaults(changed), sort_keys=False),
    }


def strip_defaults(value: Any) -> Any:
    """Return a configuration without the `init_args` that equal the defaults of their class.

    Args:
        value: Plain configuration; classes are dicts of `class_path` and `init_args`.

    Example:
        >>> strip_defaults({"class_path": "torch.nn.MSELoss", "init_args": {"reduction": "mean"}})
        {'class_path': 'torch.nn.MSELoss'}
    """
    if isinstance(value, list):
        return [strip_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    stripped = {key: strip_defaults(item) for key, item in value.items()}
    if "class_path" in stripped:
        defaults = strip_defaults(signature(stripped["class_path"]).defaults)
        arguments = stripped.pop("init_args", {})
        changed = {name: item for name, item in arguments.items() if item != defaults.get(name)}
        stripped |= {"init_args": changed} if changed else {}
    return stripped

"""Private parts of Lightning's command line. tests/engine/libraries holds what is assumed of the installed version."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.cli import LightningCLI

from lightning_template.engine.libraries.lightning_trainer import known_version


class CommandLineWins(LightningCLI):
    """LightningCLI that takes every option from the command line and the configuration."""

    def _parse_ckpt_path(self) -> None:
        """Do nothing: hyper-parameters of a checkpoint would override the command line (Lightning's PR 21455).

        No public argument switches that off.
        """


def hyper_parameter_saver(cli: LightningCLI, key: str) -> Callable[..., Any] | None:
    """Return what constructs the model or the data, so that `save_hyperparameters` saves their configuration.

    `LightningCLI` registers it with its parser; only there can it be had. An unknown version registers its own.

    Args:
        cli: Command line that has a `config_dump`.
        key: `model` or `data`.
    """
    if not known_version():
        return None
    from lightning.pytorch.cli import _InstantiatorFn

    return _InstantiatorFn(cli=cli, key=key)

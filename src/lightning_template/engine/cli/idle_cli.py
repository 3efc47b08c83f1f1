"""Task and data of a subcommand, built without running it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule

from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.terminal import quieten
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.engine.process.errors import one_line


class IdleCLI(TemplateCLI):
    """Builds what `TemplateCLI` builds, and runs nothing."""

    def run_subcommand(self, **arguments: Any) -> None:
        """Do nothing."""


def factories(
    command_line: CommandLine,
) -> tuple[Callable[[], LightningModule], Callable[[], LightningDataModule] | None]:
    """Return functions that make new instances of the task and the data of a subcommand, and run nothing.

    Returns:
        That of the task, and that of the data; None for a task with its own loaders.

    Raises:
        ValueError: If the user is mistaken in the configuration or the data.
    """
    quieten()
    try:
        cli = IdleCLI(command_line)
        if cli.datamodule is None:  # the module has its own loaders
            return partial(cli.make, "model"), None
        cli.datamodule.prepare_data()
        cli.datamodule.setup("fit")
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error
    return partial(cli.make, "model"), partial(cli.make, "data")

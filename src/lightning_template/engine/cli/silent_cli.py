"""A subcommand of the Trainer of which nobody is told what came of it."""

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.terminal import quieten
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.engine.process.errors import one_line


class SilentCLI(TemplateCLI):
    """Runs a subcommand, and prints nothing at its end."""

    def _report(self) -> None:
        """Print nothing."""


def run_silently(command_line: CommandLine) -> None:
    """Run a subcommand of the Trainer.

    Raises:
        ValueError: If the user is mistaken in the configuration, the data or the checkpoint.
    """
    quieten()
    try:
        SilentCLI(command_line)
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error

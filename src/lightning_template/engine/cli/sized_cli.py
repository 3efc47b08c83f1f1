"""LightningCLI that gives the task the sizes of the data before it builds both."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser

from lightning_template.engine.cli.construction import Construction
from lightning_template.engine.cli.fill_sizes import contradictions, fill_sizes
from lightning_template.engine.libraries.lightning_cli import CommandLineWins
from lightning_template.engine.process.errors import shorten
from lightning_template.engine.tasks import TaskModule


class SizedCLI(CommandLineWins):
    """LightningCLI that takes sizes that are not given from the data, and knows which constructor fails."""

    @abstractmethod
    def earlier_config(self) -> Mapping[str, Any] | None:
        """Return the configuration of the checkpoint's run, if there is one."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Remember the parser of the subcommand."""
        self.subcommand_parser = parser

    def before_instantiate_classes(self) -> None:
        """Dump the configuration, which is valid, with the sizes that it lacks, and watch what is constructed from it.

        Raises:
            ValueError: If the data do not tell a size.
        """
        options = self.config[self.subcommand]
        self.construction = Construction(self)
        self.construction.take_over(self.parser)
        make_data = self._make_data if options.get("data") is not None else None
        self.given = options.clone()
        self.construction.data = fill_sizes(options, make_data, self.earlier_config())
        self._dump()

    def instantiate_classes(self) -> None:
        """Build task, data, callbacks and Trainer.

        Raises:
            ValueError: If a constructor refuses its arguments.
        """
        with self._constructing():
            super().instantiate_classes()

    def make(self, key: str) -> Any:
        """Return another `model` or `data` of the configuration."""
        config = self.config.clone()
        for other in set(vars(config[self.subcommand])) - {key}:
            config[self.subcommand].pop(other)
        return self.parser.instantiate_classes(config)[self.subcommand][key]

    def contradictions(self, data: LightningDataModule, failed: bool) -> str:
        """Return which sizes that were given contradict the data, once a batch failed, or for certain."""
        return contradictions(self.given.model, data, failed)

    def explain(self, error: Exception) -> None:
        """Add sizes that contradict the data to an error of a module that could not be rehearsed."""
        if isinstance(self.model, TaskModule) or self.datamodule is None:
            return
        with suppress(Exception):  # of a user's data: the error itself says what failed
            if isinstance(error, RuntimeError | ValueError | IndexError) and (
                found := self.contradictions(self.datamodule, failed=True)
            ):
                error.add_note(found)

    def _make_data(self) -> LightningDataModule:
        self._dump()  # datamodules save their part of it as hyper-parameters
        with self._constructing():
            data: LightningDataModule = self.make("data")
        return data

    def _dump(self) -> None:
        dumped = self.subcommand_parser.dump(self.config[self.subcommand], skip_unset=False, skip_validation=True)
        self.config_dump = yaml.safe_load(dumped)  # Lightning would validate it once more to dump it

    @contextmanager
    def _constructing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (failure := self.construction.failure()) is not None:
                raise failure from failure.__cause__
            if isinstance(error, ValueError):
                raise ValueError(shorten(str(error), {})) from error
            raise

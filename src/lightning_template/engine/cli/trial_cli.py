"""A trial of a study: `fit` in a process that has made others before it, whose parsing is done once."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.engine.cli.values import check_values

NUMBERS = (bool, int, float)
"""Types of values that are put into a configuration that was parsed with others."""


class Parsed(Exception):  # noqa: N818  # no error
    """The command line is parsed, and nothing else was asked for.

    Args:
        config: What came of it.
    """

    def __init__(self, config: Namespace) -> None:
        super().__init__()
        self.config = config


class Templates:
    """Configurations that were parsed, for others that differ from them in numbers alone.

    A number takes the place of another one of its type, which the parser took for this option. The ends of ranges and
    all choices are parsed when a study begins, so no value is let through that the parser would refuse.
    """

    def __init__(self) -> None:
        self._parsed: dict[Any, Namespace] = {}

    def find(self, given: Mapping[str, Any]) -> Namespace | None:
        """Return the configuration with some values; None if there is none like it.

        Args:
            given: Options and their values.
        """
        template = self._parsed.get(_key(given))
        if template is None:
            return None
        config = template.clone()
        for name, value in given.items():
            if type(value) in NUMBERS and not _put(config, name, value):
                return None
        return config

    def add(self, given: Mapping[str, Any], config: Namespace) -> None:
        """Keep a configuration that was parsed with some values, if it holds each number as it was given."""
        numbers = {name: value for name, value in given.items() if type(value) in NUMBERS}
        if all(value_of(config, name) == value for name, value in numbers.items()):
            self._parsed[_key(given)] = config.clone()


def _key(given: Mapping[str, Any]) -> Any:
    return tuple((name, type(value), None if type(value) in NUMBERS else repr(value)) for name, value in given.items())


def value_of(config: Namespace, name: str) -> Any:
    """Return the value of an option of a `fit`; None if there is none."""
    place, key = _place(config, name)
    return place.get(key) if place is not None else None


def _put(config: Namespace, name: str, value: Any) -> bool:
    """Set the number of an option, unless that holds another type; tell whether it was done."""
    place, key = _place(config, name)
    before = place.get(key) if place is not None else None
    if type(before) is float and type(value) is int:
        value = float(value)
    if place is None or type(before) is not type(value):
        return False
    place[key] = value
    return True


def _place(config: Namespace, name: str) -> tuple[Namespace | None, str]:
    """Return what holds an option, None if nothing does, and the option's name there."""
    *above, last = name.split(".")
    place = config["fit"]
    for part in above:
        place = _within(place, part).get(part)
        if not isinstance(place, Namespace):
            return None, last
    place = _within(place, last)
    return (place if last in vars(place) else None), last


def _within(place: Namespace, part: str) -> Namespace:
    """Return the arguments of a class, where an option of it is one of them."""
    arguments = place.get("init_args")
    return arguments if part not in vars(place) and isinstance(arguments, Namespace) else place


class TrialCLI(TemplateCLI):
    """`fit` with the values of a trial.

    Args:
        command_line: The whole command, with these values.
        given: These values, by their options.
        templates: Configurations of other trials.
        report: Further callback.
        only: How far to go: `parse`, `build`, or else `run`.
    """

    def __init__(
        self,
        command_line: CommandLine,
        given: Mapping[str, Any],
        templates: Templates,
        report: Callback | None = None,
        only: str = "run",
    ) -> None:
        self.given = given
        self.templates = templates
        self.report = report
        self.only = only
        super().__init__(command_line)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line, or take a configuration that was parsed.

        Raises:
            ValueError: If it is not valid, with a message of one line.
            Parsed: If nothing else was asked for.
        """
        found = self.templates.find(self.given) if self.command_line.run is None else None
        if found is None:
            super().parse_arguments(parser, args)
            if self.command_line.run is None:
                self.templates.add(self.given, self.config)
        else:
            self.config = found
            check_values(found["fit"].as_dict(), "fit")
        if self.only == "parse":
            raise Parsed(self.config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer, with the further callback.

        Raises:
            ValueError: If it is of several processes.
        """
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.world_size > 1:
            raise ValueError(
                f"a trial trains in one process, got {trainer.world_size}: give --trainer.devices 1, and --workers N"
            )
        if self.report is not None:
            trainer.callbacks.append(self.report)  # type: ignore[attr-defined]  # the Trainer's parts set it
        return trainer

    def run_subcommand(self, **arguments: Any) -> None:
        """Train, unless only the parts were asked for."""
        if self.only == "run":
            super().run_subcommand(**arguments)

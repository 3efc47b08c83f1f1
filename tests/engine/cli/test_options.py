"""Options that each subcommand of the Trainer has beside the Trainer's."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.options import NAMED_CALLBACKS, add_options, add_options_of
from lightning_template.engine.cli.trainer_cli import TemplateCLI


@pytest.mark.parametrize(
    ("subcommand", "names"),
    [
        ("fit", {"test_after_fit": False, "allow_changes": False}),
        ("validate", {"allow_untrained": False}),
        ("test", {"allow_untrained": False}),
        ("predict", {"allow_untrained": False, "input": None, "invert": False, "output": None, "figure": None}),
    ],
)
def test_options_of_a_subcommand(subcommand: str, names: dict[str, object]) -> None:
    parser = LightningArgumentParser()
    before = set(vars(parser.get_defaults()))
    add_options_of(subcommand, parser)
    defaults = parser.get_defaults()
    assert {name: defaults[name] for name in set(vars(defaults)) - before} == names


def test_each_named_callback_is_an_option() -> None:
    parser = LightningArgumentParser()
    add_options(parser)
    defaults = parser.get_defaults()
    assert defaults.experiment is None
    assert {name: made.class_path for name, made in vars(defaults.callbacks).items()} == {
        name: f"lightning_template.{class_name}" for name, (class_name, _) in NAMED_CALLBACKS.items()
    }


def test_a_valid_configuration_is_dumped_without_another_validation() -> None:
    parser = Mock()
    parser.dump.return_value = "trainer: {max_epochs: 2}"
    cli = TemplateCLI.__new__(TemplateCLI)
    options = Namespace(trainer=Namespace(max_epochs=2))  # type: ignore[no-untyped-call]
    cli.config, cli.subcommand, cli.command_line = {"fit": options}, "fit", CommandLine([], "", Path(), None)
    cli.parser = cli.subcommand_parser = parser
    cli.before_instantiate_classes()
    parser.dump.assert_called_once_with(options, skip_unset=False, skip_validation=True)
    assert cli.config_dump == {"trainer": {"max_epochs": 2}}

"""The subcommands of the Trainer, `fit`, `validate`, `test` and `predict`, configured from YAML."""

import json
import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_template.callbacks import PredictionWriter, RunDirectory
from lightning_template.command_line import CommandLine
from lightning_template.errors import one_line, shorten

NAMED_CALLBACKS = {
    "checkpoint": ("BestAndLast", "Keeps the best and the last checkpoint; null for none."),
    "predictions": ("PredictionWriter", "Writes what `predict` predicts; null for none."),
}
"""Callbacks of every run, each under a key of its own so that a configuration can change it or switch it off."""
NOT_OF_THE_EXPERIMENT = ("allow_untrained", "ckpt_path", "config", "return_predictions", "test_after_fit", "verbose")
"""Options that say what to do now, and so are not saved with a run."""


PARSER_OPTIONS = {"exit_on_error": False, "allow_abbrev": False}  # abbreviations would let typos pass


def run(command_line: CommandLine) -> None:
    """Run a subcommand of the Trainer.

    Raises:
        ValueError: If the user is mistaken in the configuration, the data or the checkpoint.
    """
    _quieten()
    try:
        TemplateCLI(command_line)
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error


def _quieten() -> None:
    """Keep the terminal for what a user can act on."""
    for name in ("lightning.pytorch", "lightning.fabric"):  # devices found, advertisements, why fitting stopped
        logging.getLogger(name).setLevel(logging.WARNING)
    logger = logging.getLogger("lightning_template")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler()]
    for message in (
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6.6 with torch 2.15
        r"Total length of `list` across ranks is zero",  # a datamodule without validation data says so with []
    ):
        warnings.filterwarnings("ignore", message=message)


class TemplateCLI(LightningCLI):
    """LightningCLI whose runs have directories and whose command line has the last word.

    Args:
        command_line: What was asked for.
    """

    def __init__(self, command_line: CommandLine) -> None:
        self.command_line = command_line
        sys.argv[1:] = command_line.args  # Lightning reads it here, and to start the other ranks
        super().__init__(
            model_class=LightningModule,
            datamodule_class=LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=None,
            seed_everything_default=0,
            parser_kwargs=PARSER_OPTIONS | {name: dict(PARSER_OPTIONS) for name in self.subcommands()},
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line.

        Raises:
            ValueError: If it is not valid, with a message of one line.
        """
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            options = self._parser(self.command_line.args[0]).get_defaults().keys()
            raise ValueError(shorten(str(error), options)) from error

    def instantiate_classes(self) -> None:
        """Build task, data, callbacks and Trainer.

        Raises:
            ValueError: If a constructor refuses its arguments.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise ValueError(shorten(str(error), [])) from error

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the subcommands, each with the arguments of its method that are not options."""
        return {name: skipped | {"weights_only"} for name, skipped in LightningCLI.subcommands().items()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that are not the Trainer's."""
        parser.add_argument("--experiment", type=str | None, help="Name of the folder that holds the runs.")
        for name, (class_name, description) in NAMED_CALLBACKS.items():
            default = {"class_path": f"lightning_template.callbacks.{class_name}"}
            parser.add_argument(f"--callbacks.{name}", type=Callback | None, default=default, help=description)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "fit":
            parser.add_argument("--test_after_fit", action="store_true", help="Test the best checkpoint afterwards.")
        else:
            parser.add_argument("--allow_untrained", action="store_true", help="Do without a checkpoint.")
        return parser

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning lets a checkpoint's hyper-parameters override the command line (its PR 21455)."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer with the named callbacks and a run directory."""
        config = self._get(self.config_init, "trainer")
        given = config.callbacks or []
        named = [callback for callback in vars(self._get(self.config_init, "callbacks")).values() if callback]
        callbacks = [*(given if isinstance(given, list) else [given]), *named]
        if config.enable_checkpointing is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)]
        tensorboard = config.logger in (None, True)
        self.run_directory = RunDirectory(
            self.command_line.root, self.command_line.experiment, self._config_files(), self.command_line.run, tensorboard
        )
        return super().instantiate_trainer(
            callbacks=[self.run_directory, *callbacks],
            logger=False if tensorboard else config.logger,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            **kwargs,
        )

    def _config_files(self) -> dict[str, str]:
        parser, config = self._parser(self.subcommand), self.config[self.subcommand].clone()
        for key in NOT_OF_THE_EXPERIMENT:
            config.pop(key, None)
        return {
            "config.yaml": parser.dump(config, skip_unset=False, skip_validation=True),
            "overrides.yaml": parser.dump(config, skip_default=True, skip_validation=True),
        }

    def _run_subcommand(self, subcommand: str) -> None:
        checkpoint = self._get(self.config, "ckpt_path")
        if checkpoint is not None:
            check_checkpoint(Path(checkpoint), self.model)
        super()._run_subcommand(subcommand)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def after_fit(self) -> None:
        """Test if asked to, and tell what was reached and what to do next."""
        run = self.run_directory.run
        if run is None:
            return
        checkpoint = "best" if (run / "checkpoints" / "best.ckpt").is_file() else "last"
        if self._get(self.config, "test_after_fit"):
            path = run / "checkpoints" / f"{checkpoint}.ckpt"
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True)
        self._say(summarise(run))

    def after_predict(self) -> None:
        """Tell where the predictions are."""
        writers = [callback for callback in self.trainer.callbacks if isinstance(callback, PredictionWriter)]
        self._say("".join(f"predictions  {writer.path}\n" for writer in writers if writer.path))

    def _say(self, text: str) -> None:
        if self.trainer.is_global_zero:
            sys.stdout.write(text)


def check_checkpoint(path: Path, model: LightningModule) -> None:
    """Check that a checkpoint can be loaded into a model, before anything is written.

    Args:
        path: Checkpoint file.
        model: Model with the architecture to load into.

    Raises:
        ValueError: If the file is no checkpoint, or its weights have other names or shapes than the model's.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint that can be trusted: {' '.join(str(error).split())}") from error
    saved = {name: tuple(weight.shape) for name, weight in weights.items()}
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    names = [name for name in [*wanted, *saved] if saved.get(name) != wanted.get(name)]
    if names and model.strict_loading:
        raise ValueError(
            f"{path} is of another architecture: {names[0]} has shape {saved.get(names[0], 'none')} in the checkpoint "
            f"and {wanted.get(names[0], 'none')} in the model ({len(names)} of {len(wanted)} weights differ)"
        )


def summarise(run: Path) -> str:
    """Return what a finished run reached, and the commands to type next."""
    metrics = json.loads((run / "metrics.json").read_text())
    command = shlex.join([*os.environ.get("LIGHTNING_TEMPLATE_LAUNCHER", "").split(), "lightning-template"])
    best = metrics.get("best")
    lines = {
        "run": run,
        "best": f"{best['monitor']} {best['best_score']:.4f} after epoch {best['best_epoch'] + 1}" if best else "",
        "test": f"{command} test --ckpt_path {shlex.quote(str(run))}",
        "dashboard": f"tensorboard --logdir {shlex.quote(str(run.parent.parent))}",
    }
    return "".join(f"{name:<11}{text}\n" for name, text in lines.items() if text)

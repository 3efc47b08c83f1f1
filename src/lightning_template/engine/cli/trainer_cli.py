"""The subcommands of the Trainer, `fit`, `validate`, `test` and `predict`, configured from YAML."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from lightning_template.callbacks import PredictionWriter, RunDirectory
from lightning_template.engine.callbacks.data_digests import DataDigests
from lightning_template.engine.callbacks.fingerprints import Fingerprints
from lightning_template.engine.callbacks.observer import Guard
from lightning_template.engine.callbacks.optimizer_options import OptimizerOptions
from lightning_template.engine.cli.command_line import CommandLine, read_config
from lightning_template.engine.cli.known_options import known_options
from lightning_template.engine.cli.options import add_options, add_options_of
from lightning_template.engine.cli.parser import TemplateParser
from lightning_template.engine.cli.resume import check_changes, check_weights
from lightning_template.engine.cli.saved_config import config_files
from lightning_template.engine.cli.sized_cli import SizedCLI
from lightning_template.engine.cli.terminal import quieten
from lightning_template.engine.cli.trainer_parts import check_loaders, chosen_callbacks, with_whole_checkpoints
from lightning_template.engine.cli.values import check_values
from lightning_template.engine.libraries.lightning_trainer import known_version
from lightning_template.engine.loops import ignore_worker_death_on_stop, take_over_signals
from lightning_template.engine.prediction import FilesToPredict
from lightning_template.engine.process.errors import Stopped, one_line, shorten
from lightning_template.engine.rehearsal import Rehearsal
from lightning_template.engine.runs import slurm
from lightning_template.engine.runs.directories import summarise
from lightning_template.engine.tasks import SavedArguments

_logger = logging.getLogger("lightning_template")

PARSER_OPTIONS = {"exit_on_error": False, "allow_abbrev": False}  # abbreviations would let typos pass


def run(command_line: CommandLine) -> None:
    """Run a subcommand of the Trainer.

    Raises:
        ValueError: If the user is mistaken in the configuration, the data or the checkpoint.
    """
    quieten()
    try:
        TemplateCLI(command_line)
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error


class TemplateCLI(SizedCLI):
    """LightningCLI whose runs have directories and whose command line has the last word.

    Args:
        command_line: What was asked for.
    """

    def __init__(self, command_line: CommandLine) -> None:
        self.command_line = command_line
        sys.argv[1:] = command_line.args  # Lightning reads it here, and to start the other ranks
        super().__init__(
            model_class=LightningModule,
            subclass_mode_model=True,  # so are the data, which may be missing: a module can have its own loaders
            auto_configure_optimizers=False,
            save_config_callback=None,
            seed_everything_default=0,
            parser_class=TemplateParser,
            load_from_checkpoint_support=not known_version(),  # otherwise `Construction` does what it would do
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
            options = known_options(self.subcommand_parser, self.command_line.args)
            raise ValueError(shorten(str(error), options)) from error
        except RecursionError as error:
            raise ValueError("the configuration nests too deeply") from error
        subcommand = self.command_line.args[0]
        check_values(self.config[subcommand].as_dict(), subcommand)

    def instantiate_classes(self) -> None:
        """Build task, data, callbacks and Trainer.

        Raises:
            ValueError: If a constructor refuses its arguments.
        """
        super().instantiate_classes()
        check_loaders(self.model, self.datamodule, str(self.subcommand))
        self.inputs: FilesToPredict | None = None
        if self.subcommand == "predict":
            self._configure_prediction()

    def _configure_prediction(self) -> None:
        """Pass on which files `predict` reads and writes."""
        if paths := self.option("input"):
            self.inputs = FilesToPredict(self.datamodule, paths, self.option("invert"))
        for writer in self._prediction_writers():
            writer.inputs = self.inputs
            writer.write_to(self.option("output"), self.option("figure"))

    def _prediction_writers(self) -> list[PredictionWriter]:
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
        return [callback for callback in callbacks if isinstance(callback, PredictionWriter)]

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """Return the subcommand asked for, so that no parser is built but its, with what is not an option."""
        name = self.command_line.args[0]
        return {name: super().subcommands()[name] | {"weights_only"}}

    def earlier_config(self) -> Mapping[str, Any] | None:
        """Return the configuration of the checkpoint's run, if there is one."""
        run = self.command_line.run
        return read_config(run / "config.yaml") if run is not None else None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that are not the Trainer's."""
        super().add_arguments_to_parser(parser)
        add_options(parser)
        add_options_of(self.command_line.args[0], parser)

    def option(self, name: str) -> Any:
        """Return the value of an option; None where the subcommand has no such option."""
        return self.config[self.subcommand].get(name)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer."""
        self.construction.forget()
        made = self.config_init[self.subcommand]
        callbacks = chosen_callbacks(made.trainer, vars(made.callbacks))
        trainer = super().instantiate_trainer(**self.trainer_options(made.trainer, callbacks), **kwargs)
        take_over_signals(trainer)
        return trainer

    def trainer_options(self, config: Any, callbacks: list[Callback]) -> dict[str, Any]:
        """Return what the Trainer gets instead of its options: the named callbacks and a run directory.

        Args:
            config: Its configuration.
            callbacks: Callbacks that the configuration asks for.
        """
        tensorboard = config.logger in (None, True)
        self.files = config_files(self.subcommand_parser, self.config[self.subcommand], self.config_dump)
        self.run_directory = RunDirectory(
            self.command_line.root,
            self.command_line.experiment,
            self.files,
            self.command_line.run,
            tensorboard,
            slurm.mark(self.command_line.typed) | dict(self.command_line.marks),
        )
        digests = DataDigests(self.files, self.command_line.run, bool(self.option("allow_changes")))
        first = [digests, Rehearsal(self.contradictions), SavedArguments(self.config_dump)]
        first += [Fingerprints(self.run_directory, self.files), self.run_directory]
        return {
            "callbacks": [*first, *callbacks],
            "plugins": with_whole_checkpoints(config.plugins),
            "logger": False if tensorboard else config.logger,
            "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
            "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        }

    def after_instantiate_classes(self) -> None:
        """Run the subcommand here: where there is a method of its name, Lightning calls it instead of the Trainer's."""
        setattr(self, str(self.subcommand), self.run_subcommand)

    def run_subcommand(self, **arguments: Any) -> None:
        """Check the checkpoint, run the subcommand, and say what came of it.

        Raises:
            ValueError: If the checkpoint does not fit.
            Stopped: If a signal asked for it.
        """
        checkpoint = self.option("ckpt_path")
        if checkpoint is not None:
            other_configuration = self.command_line.run is not None and not self.command_line.origin
            check_weights(Path(checkpoint), self.model, other_configuration)
            self._check_changes()
        try:
            with ignore_worker_death_on_stop():
                getattr(self.trainer, str(self.subcommand))(**arguments, weights_only=True)
                self._report()
        except Stopped as stopped:
            launcher = self.trainer.strategy.launcher
            if launcher is not None and stopped.step is None:  # no other rank knows of it
                launcher.kill(stopped.number)
            if stopped.message and self.subcommand == "fit":
                stopped.message += slurm.queue_again(stopped.number)
            raise
        except Exception as error:
            if self.run_directory.gone is not None:  # who writes there fails in many ways, such as TensorBoard's logger
                raise self.run_directory.gone from error
            self.explain(error)
            raise

    def _check_changes(self) -> None:
        """Tell what differs from the checkpoint's run; for `fit`, refuse what would make it end otherwise."""
        run, is_fit = self.command_line.run, self.subcommand == "fit"
        if run is None or not (is_fit or not self.command_line.origin):
            return
        before, after = read_config(run / "config.yaml"), yaml.safe_load(self.files["config.yaml"])
        names = check_changes(before, after, is_fit, bool(self.option("allow_changes")))
        if names:
            self.trainer.callbacks.append(OptimizerOptions(names))  # type: ignore[attr-defined]

    def _report(self) -> None:
        if self.subcommand == "fit":
            self._finish_fit()
        elif self.subcommand == "predict":
            self._report_predictions()

    def _finish_fit(self) -> None:
        """Test if asked to, and tell what was reached and what to do next."""
        run = self.run_directory.run
        if run is None:
            return
        if self.option("test_after_fit"):
            best = run / "checkpoints" / "best.ckpt"  # without validation there is none: the last weights are tested
            path = best if best.is_file() else None
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True)
        summary = Guard()("the summary", summarise, run)
        self._say(summary or "")

    def _report_predictions(self) -> None:
        """Tell where the predictions are.

        Raises:
            SystemExit: If files were skipped.
        """
        self._say("".join(f"predictions  {writer.path}\n" for writer in self._prediction_writers() if writer.path))
        if self.inputs is not None and self.inputs.skipped:
            _logger.error("files that could not be read and have no row: %d", len(self.inputs.skipped))
            raise SystemExit(1)  # a script shall not take a part for the whole

    def _say(self, text: str) -> None:
        if self.trainer.is_global_zero:
            sys.stdout.write(text)

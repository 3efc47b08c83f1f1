"""The subcommands of the Trainer, `fit`, `validate`, `test` and `predict`, configured from YAML."""

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, get_loader, set_loader
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lightning_template.callbacks import PredictionWriter, RunDirectory
from lightning_template.engine.callbacks.data_digests import DataDigests
from lightning_template.engine.callbacks.observer import Guard
from lightning_template.engine.callbacks.optimizer_options import OptimizerOptions
from lightning_template.engine.cli.command_line import CommandLine, read_config
from lightning_template.engine.cli.construction import Construction
from lightning_template.engine.cli.overrides import strip_defaults
from lightning_template.engine.cli.values import check_values
from lightning_template.engine.cli.yaml_text import check_yaml
from lightning_template.engine.loops import patient_with_workers, take_over_signals
from lightning_template.engine.process.errors import Stopped, one_line, printable, shorten
from lightning_template.engine.rehearsal import Rehearsal
from lightning_template.engine.runs import slurm
from lightning_template.engine.runs.changes import changes, has_effect
from lightning_template.engine.runs.checkpoints import WholeCheckpointIO, check_checkpoint
from lightning_template.engine.runs.directories import summarise

NAMED_CALLBACKS = {
    "checkpoint": ("BestAndLast", "Keeps the best and the last checkpoint; null for none."),
    "dashboard": ("Dashboard", "Charts, hyper-parameters, texts and graph in TensorBoard; null for none."),
    "figures": ("Figures", "Figures of what the task predicts in TensorBoard; null for none."),
    "finite_loss": ("FiniteLoss", "Ends a run whose loss is not finite; null for none."),
    "monitor": ("StepMonitor", "Learning rate, gradient norm, speed and memory as curves; null for none."),
    "predictions": ("PredictionWriter", "Writes what `predict` predicts; null for none."),
    "progress_bar": ("ClockedProgressBar", "Shows how far the run is; null for none."),
}
"""Callbacks of every run, each under a key of its own so that a configuration can change it or switch it off."""

NOT_OF_THE_EXPERIMENT = (
    "allow_changes",
    "allow_untrained",
    "ckpt_path",
    "config",
    "figure",
    "input",
    "invert",
    "output",
    "return_predictions",
    "test_after_fit",
    "verbose",
)
"""Options that say what to do now, and so are not saved with a run."""

_logger = logging.getLogger("lightning_template")

PARSER_OPTIONS = {"exit_on_error": False, "allow_abbrev": False}  # abbreviations would let typos pass

_load_yaml = get_loader("yaml")


def _load_checked_yaml(text: str) -> Any:
    """Load what jsonargparse reads by itself, such as a file that is the value of an option."""
    check_yaml(text, "the configuration")
    return _load_yaml(text)


set_loader("yaml", _load_checked_yaml, (yaml.YAMLError,))


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


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what is `sys.stderr` at the time, which a program that calls the CLI may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return a line that steers no terminal, whatever a file has put into it."""
        return printable(super().format(record))


def factories(command_line: CommandLine) -> tuple[Callable[[], LightningModule], Callable[[], LightningDataModule]]:
    """Return functions that make the task and the data of a subcommand, anew each time, and run nothing.

    Raises:
        ValueError: If the user is mistaken in the configuration or the data.
    """
    _quieten()
    try:
        cli = IdleCLI(command_line)
        cli.datamodule.prepare_data()
        cli.datamodule.setup("fit")
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error
    return partial(cli.make, "model"), partial(cli.make, "data")


_report_thread = threading.excepthook


def _report_other_thread(args: threading.ExceptHookArgs) -> None:
    """Leave out TensorBoard's writer: the main thread raises what it failed with."""
    if type(args.thread).__name__ != "_AsyncWriterThread":
        _report_thread(args)


def _quieten() -> None:
    """Keep the terminal for what a user can act on."""
    threading.excepthook = _report_other_thread
    for name in ("lightning.pytorch", "lightning.fabric"):  # devices found, advertisements, why fitting stopped
        logging.getLogger(name).setLevel(logging.WARNING)
    logger = logging.getLogger("lightning_template")
    logger.setLevel(logging.INFO)
    logger.handlers = [_Stderr()]
    for message in (
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6.6 with torch 2.15
        r"Total length of `list` across ranks is zero",  # a datamodule without validation data says so with []
        r"Image size \(\d+ pixels\) exceeds limit",  # of PIL's; what is decoded has a limit of ours
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
        except RecursionError as error:
            raise ValueError("the configuration nests too deeply") from error
        subcommand = self.command_line.args[0]
        check_values(self.config[subcommand].as_dict(), subcommand)

    def instantiate_classes(self) -> None:
        """Build task, data, callbacks and Trainer.

        Raises:
            ValueError: If a constructor refuses its arguments.
        """
        try:
            super().instantiate_classes()
        except Exception as error:
            if (failure := self.construction.failure()) is not None:
                raise failure from failure.__cause__
            if isinstance(error, ValueError):
                raise ValueError(shorten(str(error), [])) from error
            raise
        if self.subcommand == "predict":
            self._predict_what_is_given()

    def _add_instantiators(self) -> None:
        self.construction = Construction(self)
        self.construction.take_over(self.parser)

    def _predict_what_is_given(self) -> None:
        """Pass on what `predict` is asked to read and write."""
        writers = [callback for callback in self.trainer.callbacks if isinstance(callback, PredictionWriter)]  # type: ignore[attr-defined]
        for writer in writers:
            writer.write_to(self._get(self.config, "output"), self._get(self.config, "figure"))
        paths = self._get(self.config, "input")
        if paths:
            if not hasattr(self.datamodule, "predict_on"):
                raise ValueError(f"{type(self.datamodule).__name__} has no `predict_on`, so it takes no --input")
            self.datamodule.predict_on(paths, self._get(self.config, "invert"))

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """Return the subcommand asked for, so that no parser is built but its, with what is not an option."""
        name = self.command_line.args[0]
        return {name: super().subcommands()[name] | {"weights_only"}}

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
            parser.add_argument("--allow_changes", action="store_true", help="Go on though the run will end otherwise.")
        else:
            parser.add_argument("--allow_untrained", action="store_true", help="Do without a checkpoint.")
        if subcommand == "predict":
            parser.add_argument("--input", nargs="+", type=str, help="Files or folders instead of the test set.")
            parser.add_argument("--invert", action="store_true", help="Turn dark on light images to light on dark.")
            parser.add_argument("--output", type=str | None, help="CSV or Parquet file instead of predictions.csv.")
            parser.add_argument("--figure", type=str | None, help="Picture of the first samples to draw.")
        return parser

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning lets a checkpoint's hyper-parameters override the command line (its PR 21455)."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer with the named callbacks and a run directory."""
        self.construction.forget()
        config = self._get(self.config_init, "trainer")
        given = config.callbacks if isinstance(config.callbacks, list) else [config.callbacks]
        named = dict(vars(self._get(self.config_init, "callbacks")))
        if any(isinstance(callback, ProgressBar) for callback in given):
            named["progress_bar"] = None
        callbacks = [callback for callback in (*given, *named.values()) if callback]
        if config.enable_checkpointing is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)]
        if config.enable_progress_bar is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
        plugins = config.plugins if isinstance(config.plugins, list) else [config.plugins] if config.plugins else []
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins = [*plugins, WholeCheckpointIO()]
        tensorboard = config.logger in (None, True)
        self.files = self._config_files()
        self.run_directory = RunDirectory(
            self.command_line.root,
            self.command_line.experiment,
            self.files,
            self.command_line.run,
            tensorboard,
            slurm.mark(self.command_line.typed),
        )
        digests = DataDigests(self.files, self.command_line.run, bool(self._get(self.config, "allow_changes", False)))
        trainer = super().instantiate_trainer(
            callbacks=[digests, Rehearsal(), self.run_directory, *callbacks],
            plugins=plugins,
            logger=False if tensorboard else config.logger,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            **kwargs,
        )
        take_over_signals(trainer)
        return trainer

    def _config_files(self) -> dict[str, str]:
        parser, config = self._parser(self.subcommand), self.config[self.subcommand].clone()
        for key in NOT_OF_THE_EXPERIMENT:
            config.pop(key, None)
        self._dump_config()
        experiment = {key: value for key, value in self.config_dump.items() if key not in NOT_OF_THE_EXPERIMENT}
        changed = yaml.safe_load(parser.dump(config, skip_default=True, skip_validation=True))
        return {
            "config.yaml": yaml.safe_dump(experiment, sort_keys=False),
            "overrides.yaml": yaml.safe_dump(strip_defaults(changed), sort_keys=False),
        }

    def _dump_config(self) -> None:
        """Dump the configuration, which is valid; Lightning would validate it once more."""
        if not hasattr(self, "config_dump"):
            dumped = self._parser(self.subcommand).dump(
                self.config[self.subcommand], skip_unset=False, skip_validation=True
            )
            self.config_dump = yaml.safe_load(dumped)

    def _run_subcommand(self, subcommand: str) -> None:
        checkpoint = self._get(self.config, "ckpt_path")
        if checkpoint is not None:
            self._check_weights(Path(checkpoint))
            self._check_changes()
        try:
            with patient_with_workers():
                super()._run_subcommand(subcommand)
        except Stopped as stopped:
            launcher = self.trainer.strategy.launcher
            if launcher is not None and stopped.step is None:  # no other rank knows of it
                launcher.kill(stopped.number)
            if stopped.message and subcommand == "fit":
                stopped.message += slurm.queue_again(stopped.number)
            raise
        except Exception as error:
            if self.run_directory.gone is not None:  # who writes there fails in many ways, such as TensorBoard's logger
                raise self.run_directory.gone from error
            raise

    def _check_weights(self, checkpoint: Path) -> None:
        try:
            check_checkpoint(checkpoint, self.model)
        except ValueError as error:
            if self.command_line.run and not self.command_line.origin:
                error.add_note("without --config, the configuration of its run is used")
            raise

    def _check_changes(self) -> None:
        """Tell what differs from the checkpoint's run; for `fit`, refuse what would make it end otherwise."""
        run, is_fit = self.command_line.run, self.subcommand == "fit"
        if run is None or not (is_fit or not self.command_line.origin):
            return
        found = changes(read_config(run / "config.yaml"), yaml.safe_load(self.files["config.yaml"]))
        for option, (before, after) in found.items():
            if is_fit or (has_effect(option) and option.startswith(("model", "data"))):
                _logger.info("changed: %s was %s and is %s", option, before, after)
        if not is_fit:
            return
        with_effect = [option for option in found if has_effect(option)]
        if with_effect and not self._get(self.config, "allow_changes"):
            before, after = found[with_effect[0]]
            raise ValueError(
                f"`{with_effect[0]}` was {before} and is {after}, so the run would not end as it would have: "
                "add --allow_changes to go on all the same"
            )
        names = [option.removeprefix("model.optimizer.") for option in found if option.startswith("model.optimizer.")]
        if names:
            self.trainer.callbacks.append(OptimizerOptions(names))  # type: ignore[attr-defined]

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def after_fit(self) -> None:
        """Test if asked to, and tell what was reached and what to do next."""
        run = self.run_directory.run
        if run is None:
            return
        if self._get(self.config, "test_after_fit"):
            best = run / "checkpoints" / "best.ckpt"  # without validation there is none: the last weights are tested
            path = best if best.is_file() else None
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True)
        summary = Guard()("the summary", summarise, run)
        self._say(summary or "")

    def after_predict(self) -> None:
        """Tell where the predictions are.

        Raises:
            SystemExit: If files were skipped.
        """
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
        writers = [callback for callback in callbacks if isinstance(callback, PredictionWriter)]
        self._say("".join(f"predictions  {writer.path}\n" for writer in writers if writer.path))
        if skipped := getattr(self.datamodule, "skipped_files", ()):
            _logger.error("files that could not be read and have no row: %d", len(skipped))
            raise SystemExit(1)  # a script shall not take a part for the whole

    def _say(self, text: str) -> None:
        if self.trainer.is_global_zero:
            sys.stdout.write(text)


class IdleCLI(TemplateCLI):
    """Builds what `TemplateCLI` builds, and runs nothing."""

    def make(self, key: str) -> Any:
        """Return another `model` or `data` of the configuration."""
        config = self.config.clone()
        for other in set(vars(config[self.subcommand])) - {key}:
            config[self.subcommand].pop(other)
        return self.parser.instantiate_classes(config)[self.subcommand][key]

    def _run_subcommand(self, subcommand: str) -> None:
        """Do nothing."""

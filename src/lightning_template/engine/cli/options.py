"""Options of the Trainer's subcommands that are not the Trainer's, and YAML that is checked before it is read."""

from typing import Any

import yaml
from jsonargparse import get_loader, set_loader
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from lightning_template.engine.cli.yaml_text import check_yaml

NAMED_CALLBACKS = {
    "checkpoint": ("BestAndLast", "Keeps the best and the last checkpoint; null for none."),
    "dashboard": ("Dashboard", "Charts, hyper-parameters, texts and graph in TensorBoard; null for none."),
    "executions": ("Executions", "Makes several training steps between two looks at the log; null for one."),
    "figures": ("Figures", "Figures of what the task predicts in TensorBoard; null for none."),
    "finite_loss": ("FiniteLoss", "Ends a run whose loss is not finite; null for none."),
    "monitor": ("StepMonitor", "Learning rate, gradient norm, speed and memory as curves; null for none."),
    "predictions": ("PredictionWriter", "Writes what `predict` predicts; null for none."),
    "progress_bar": ("ClockedProgressBar", "Shows how far the run is; null for none."),
}
"""Callbacks of every run, each under its key, so that a configuration can change it or switch it off."""

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

_load_yaml = get_loader("yaml")


def _load_checked_yaml(text: str) -> Any:
    """Load what jsonargparse reads by itself, such as a file that is the value of an option."""
    check_yaml(text, "the configuration")
    return _load_yaml(text)


set_loader("yaml", _load_checked_yaml, (yaml.YAMLError,))


def add_options(parser: LightningArgumentParser) -> None:
    """Add the options of every subcommand: the experiment's name and the named callbacks."""
    parser.add_argument("--experiment", type=str | None, help="Name of the folder that holds the runs.")
    for name, (class_name, description) in NAMED_CALLBACKS.items():
        default = {"class_path": f"lightning_template.callbacks.{class_name}"}
        parser.add_argument(f"--callbacks.{name}", type=Callback | None, default=default, help=description)


def add_options_of(subcommand: str, parser: LightningArgumentParser) -> None:
    """Add the options of one subcommand."""
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

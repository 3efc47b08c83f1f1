"""Callbacks, plugins and loaders of a Trainer that is built from a configuration."""

from collections.abc import Mapping
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_template.engine.runs.checkpoints import WholeCheckpointIO


def chosen_callbacks(config: Any, named: Mapping[str, Callback | None]) -> list[Callback]:
    """Return the callbacks that a configuration asks for, those of `trainer.callbacks` first.

    Args:
        config: Configuration of the Trainer; its `enable_checkpointing` and `enable_progress_bar` switch callbacks off.
        named: The named callbacks; their progress bar gives way to another one.
    """
    given = config.callbacks if isinstance(config.callbacks, list) else [config.callbacks]
    has_bar = any(isinstance(callback, ProgressBar) for callback in given)
    defaults = [callback for name, callback in named.items() if not (has_bar and name == "progress_bar")]
    callbacks = [callback for callback in (*given, *defaults) if callback]
    for switch, kind in ((config.enable_checkpointing, Checkpoint), (config.enable_progress_bar, ProgressBar)):
        if switch is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, kind)]
    return callbacks


def with_whole_checkpoints(plugins: Any) -> list[Any]:
    """Return plugins of a Trainer, with the one that writes whole checkpoints unless another one writes them."""
    given = plugins if isinstance(plugins, list) else [plugins] if plugins else []
    return given if any(isinstance(plugin, CheckpointIO) for plugin in given) else [*given, WholeCheckpointIO()]


def check_loaders(model: LightningModule, data: LightningDataModule | None, subcommand: str) -> None:
    """Check that a subcommand has a loader: that of the data or, where there are none, the module's own.

    Raises:
        ValueError: If it has none.
    """
    loader = {"fit": "train", "validate": "val"}.get(subcommand, subcommand) + "_dataloader"
    step = {"fit": "training", "validate": "validation"}.get(subcommand, subcommand) + "_step"
    if data is None and is_overridden(step, model) and not is_overridden(loader, model):
        raise ValueError(f"`data` must be given: {type(model).__name__} has no `{loader}` (is --config FILE missing?)")

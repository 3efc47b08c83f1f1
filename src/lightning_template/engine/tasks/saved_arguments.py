"""Hyper-parameters of anybody's module or datamodule, as a checkpoint holds them."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor

from lightning_template.engine.tasks.hyper_parameters import is_plain


class SavedArguments(Callback):
    """Saves the configuration of hyper-parameters that weights-only loading would refuse, such as networks.

    `LightningCLI` has modules keep their configuration in place of what they called `save_hyperparameters` for. Then
    `self.hparams` lacks what a base class saved, and what a module within another saved. Here modules are made as
    Python makes them, and only checkpoints differ.

    Args:
        config: Configuration of `model` and `data`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Replace values that are not plain."""
        for key, kind in (("model", LightningModule), ("data", LightningDataModule)):
            name = kind.CHECKPOINT_HYPER_PARAMS_KEY
            if name in checkpoint:
                checkpoint[name] = loadable(checkpoint[name], self.config.get(key) or {})


def loadable(values: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters that weights-only loading takes: others are configured or, if unknown, left out.

    Args:
        values: Hyper-parameters of a module.
        config: `class_path` and `init_args` of its class.

    Example:
        >>> config = {"class_path": "a.Task", "init_args": {"net": {"class_path": "b.Net"}}}
        >>> loadable({"lr": 0.1, "net": object()}, {}), loadable({"net": object()}, config)["net"]
        ({'lr': 0.1}, {'class_path': 'b.Net'})
    """
    plain = {name: value for name, value in values.items() if is_plain(value) or isinstance(value, Tensor)}
    given = {**config.get("init_args", {}), **config.get("dict_kwargs", {})}
    if plain.keys() == values.keys() or not values.keys() & given.keys() - plain.keys():
        return plain
    # as `LightningCLI` saves them, for `load_from_checkpoint` to make objects of them again
    return {
        **given,
        "_class_path": config["class_path"],
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }

"""Lets the command line win over a checkpoint's optimizer."""

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer


class OptimizerOptions(Callback):
    """Gives a resumed run's optimizers options of the configuration, where a checkpoint restores the old ones.

    Args:
        names: Options such as `lr`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the options.

        Raises:
            ValueError: If a schedule decides on the learning rate.
        """
        if "lr" in self.names and trainer.lr_scheduler_configs:
            raise ValueError("`model.optimizer.lr` of a resumed run cannot be changed: its schedule goes on")
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group.update({name: optimizer.defaults[name] for name in self.names if name in optimizer.defaults})

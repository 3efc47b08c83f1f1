"""Options of optimizers that override those of a checkpoint."""

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer


class OptimizerOptions(Callback):
    """Sets options of the configuration in a resumed run's optimizers; the checkpoint has restored the old ones.

    Args:
        names: Options such as `lr`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the configuration says, before the checkpoint's state of the optimizers is loaded."""
        self._groups = [[dict(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the options.

        Raises:
            ValueError: If a schedule decides on the learning rate.
        """
        if "lr" in self.names and trainer.lr_scheduler_configs:
            raise ValueError("`model.optimizer.lr` of a resumed run cannot be changed: its schedule goes on")
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, configured in zip(optimizer.param_groups, groups, strict=False):  # some are added later
                group.update({name: configured[name] for name in self.names if name in configured})

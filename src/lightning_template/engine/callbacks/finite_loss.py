"""Stops a run that has diverged."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.engine.libraries.lightning_trainer import should_log


class FiniteLoss(Callback):
    """Fails a run whose loss is not finite; checks it whenever Lightning logs, and at the end of an epoch."""

    every_execution = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss.

        Raises:
            FloatingPointError: If it is infinite or not a number.
        """
        is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if not (should_log(trainer) or is_last):  # each check waits for a GPU
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and not torch.isfinite(loss).all():
            raise FloatingPointError(
                f"the loss is {loss.item()} after step {trainer.global_step}: "
                "lower the learning rate, or look for such values in the data"
            )


def check_losses(metrics: Mapping[str, Tensor]) -> None:
    """Check what a validation or a test measured.

    Args:
        metrics: Logged quantities by name.

    Raises:
        FloatingPointError: If one whose name says that it is a loss is infinite or not a number.
    """
    for name, value in metrics.items():
        if "loss" in name.lower() and not torch.isfinite(value).all():
            raise FloatingPointError(
                f"{name} is {value.item()}, so no metrics are kept: look for such values in the data and the weights"
            )

"""The picture of the data in TensorBoard, at the first step of a run."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_template.engine.batches import TensorBatches
from lightning_template.engine.callbacks.observer import Observer
from lightning_template.engine.callbacks.tensorboard import experiments
from lightning_template.engine.dashboard.data_panels import picture
from lightning_template.engine.dashboard.data_summary import summarise_data
from lightning_template.engine.libraries.lightning_trainer import batches_that_stepped

SETS = {"training": "train_set", "validation": "val_set", "test": "test_set"}
"""Attributes of a datamodule that may hold its splits."""


class DataPicture(Observer):
    """Shows what the network gets, once, in the picture that `show` writes.

    Args:
        data: Whether to show it.
    """

    def __init__(self, data: bool = True) -> None:
        self.data = data

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Show the first batch of a run; one that goes on has shown its own."""
        if self.data and batches_that_stepped(trainer) == 0 and batch_idx == 0:
            self.data = False
            if writers := experiments(trainer):
                self.guard("the picture of the data", _log, trainer, pl_module, batch, writers)


def _log(trainer: Trainer, pl_module: LightningModule, batch: Any, writers: Sequence[Any]) -> None:
    data = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
    sets = {name: getattr(data, attribute, None) for name, attribute in SETS.items()}
    loaders = {name: part for name, part in sets.items() if isinstance(part, TensorBatches) and len(part)}
    # Of others only the training loader is there yet, and nobody knows what asking for another one does.
    summary = summarise_data(trainer, pl_module, batch, loaders or {"training": trainer.train_dataloader}, reads=False)
    pixels = picture(summary)
    for writer in writers:
        writer.add_image("data", pixels, 0, dataformats="HWC")

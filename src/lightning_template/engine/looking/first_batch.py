"""The first training batch of a fit, as the step gets it, and the loaders of all splits."""

from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_template.engine.dashboard.data_summary import Summary, summarise_data
from lightning_template.engine.looking.trial_cli import EnoughError
from lightning_template.engine.process.errors import one_line


class FirstBatch(Callback):
    """Summarises the data at the first training batch, and ends the fit."""

    def __init__(self) -> None:
        self.summary: Summary | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Look at the batch and at the splits.

        Raises:
            EnoughError: Always.
        """
        if isinstance(batch, Iterator):  # of a step that takes the loader's iterator
            batch = next(batch)[0]
        loaders: dict[str, Any] = {"training": trainer.train_dataloader}
        failures: dict[str, str] = {}
        for name, kind in (("validation", "val_dataloader"), ("test", "test_dataloader")):
            try:
                if found := _loaders(trainer, pl_module, kind):
                    loaders[name] = found[0]
            except Exception as error:  # of a user's loader: the picture says so
                failures[name] = one_line(error)
        self.summary = summarise_data(trainer, pl_module, batch, loaders, reads=True)
        self.summary.failures = failures | self.summary.failures
        raise EnoughError


def _loaders(trainer: Trainer, module: LightningModule, kind: str) -> list[Any]:
    """Return the loaders of a split; none where there are none."""
    data = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
    owner = data if data is not None and is_overridden(kind, data, LightningDataModule) else module
    if owner is module and not is_overridden(kind, module):
        return []
    if kind == "test_dataloader" and data is not None:
        data.setup("test")
    made = getattr(owner, kind)()
    return list(made.values()) if isinstance(made, dict) else list(made) if isinstance(made, list | tuple) else [made]

"""The largest batch that fits into a device's memory, by Lightning's finder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder
from lightning.pytorch.utilities.parsing import lightning_getattr, lightning_hasattr

LIMIT = 8192
"""Largest batch that Lightning's finder tries."""


class LargestBatch(Callback):
    """Finds the largest batch where a fit starts."""

    def __init__(self) -> None:
        self.said = ""
        """What was found, or why nothing was looked for."""
        self.size: int | None = None
        """Number of samples in the largest batch."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Double the batch until memory runs out, or there are no more samples."""
        if not has_limit(trainer):
            self.said = "not looked for: a CPU takes what the machine has"
        elif not lightning_hasattr(pl_module, "batch_size"):
            self.said = "not looked for: neither module nor data have a `batch_size`"
        else:
            start: Any = lightning_getattr(pl_module, "batch_size")
            finder = BatchSizeFinder(mode="power", init_val=int(start), max_val=2 * LIMIT)
            with sizes_that_fit(pl_module) as sizes:
                finder.scale_batch_size(trainer, pl_module)
            self.size = max(sizes, default=None)
            more = "; larger ones are not tried" if (self.size or 0) >= LIMIT else ""
            self.said = f"{self.size} samples{more}" if self.size else f"none that was tried: {start} and less"


@contextmanager
def sizes_that_fit(module: LightningModule) -> Iterator[list[int]]:
    """Yield a list that gets the size of each trial that ended without an error.

    Lightning's finder returns the number of samples where a batch of all of them did not fit.
    """
    sizes: list[int] = []
    hook = module.on_train_end

    def keep() -> None:
        sizes.append(int(lightning_getattr(module, "batch_size") or 0))
        hook()

    vars(module)["on_train_end"] = keep
    try:
        yield sizes
    finally:
        del vars(module)["on_train_end"]


def has_limit(trainer: Trainer) -> bool:
    """Tell whether running out of the device's memory is an error that can be caught."""
    return trainer.strategy.root_device.type != "cpu"

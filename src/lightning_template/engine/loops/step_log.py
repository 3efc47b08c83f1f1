"""The `log` of a module within an execution."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer


class StepLog:
    """The `log` of a module in the inner steps of an execution: returns at once unless `on_epoch` is true.

    Nobody reads what an inner step alone logs, except a plateau schedule that moves by step. A call of Lightning's
    `log` takes as long as a small step.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._module = trainer.lightning_module
        self._log = self._module.log
        self._is_read = any(
            config.reduce_on_plateau and config.interval == "step" for config in trainer.lr_scheduler_configs
        )

    def __call__(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Log what the epoch needs; the arguments are those of `LightningModule.log`."""
        if on_epoch or self._is_read:
            self._log(name, value, prog_bar, logger, on_step, on_epoch, *args, **kwargs)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take the place of the module's `log`."""
        attributes = vars(self._module)
        before = attributes.get("log")
        attributes["log"] = self
        try:
            yield
        finally:
            del attributes["log"]
            if before is not None:
                attributes["log"] = before

"""TensorBoard's event files, whose errors do not end a run."""

from collections.abc import Callable
from typing import Any, Self

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_template.engine.callbacks.observer import Guard
from lightning_template.engine.libraries.tensorboard_private import wrap_records

PART = "TensorBoard's files"


class EventLogger(TensorBoardLogger):
    """Lightning's logger for TensorBoard. Where it cannot write, such as on a full disk, the run goes on without it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = Guard()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Writer of TensorBoard, or one that does nothing where there can be none."""
        return self._guard(PART, self._open) or NoWriter()

    def _open(self) -> Any:
        writer = super().experiment
        wrap_records(writer, self._guarded)
        return writer

    def _guarded(self, records: Any) -> "_Records":
        return records if isinstance(records, _Records) else _Records(records, self._guard)

    def save(self) -> None:
        """Write pending records, and Lightning's file of hyper-parameters."""
        self._guard(PART, super().save)


class NoWriter:
    """Replaces TensorBoard's writer where there can be none, or one has failed."""

    def __getattr__(self, name: str) -> Callable[..., Self]:
        return self._ignore

    def _ignore(self, *args: Any, **kwargs: Any) -> Self:
        return self


class _Records:
    """The records of an event file.

    Args:
        records: What writes them.
        guard: Handles errors of writing.
    """

    def __init__(self, records: Any, guard: Guard) -> None:
        self._records = records
        self._guard = guard

    def write(self, record: bytes) -> None:
        """Write a record."""
        self._guard(PART, self._records.write, record)

    def flush(self) -> None:
        """Write pending records."""
        self._guard(PART, self._records.flush)

    def close(self) -> None:
        """Close the file."""
        self._guard(PART, self._records.close)


def experiments(trainer: Trainer) -> list[Any]:
    """Return the writers of TensorBoard of a trainer that logs; none on ranks other than 0."""
    if not trainer.is_global_zero:
        return []
    writers = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [writer for writer in writers if not isinstance(writer, NoWriter)]

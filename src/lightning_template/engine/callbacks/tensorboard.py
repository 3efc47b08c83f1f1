"""TensorBoard's event files, which end no run when they cannot be written."""

from typing import Any

from lightning.fabric.loggers.logger import _DummyExperiment, rank_zero_experiment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_template.engine.callbacks.observer import Guard

PART = "TensorBoard's files"


class EventLogger(TensorBoardLogger):
    """Lightning's logger for TensorBoard; without space on the disk, for example, the run goes on without it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = Guard()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Writer of TensorBoard; one that does nothing where none can be made."""
        if self._experiment is None:
            self._experiment = self._guard(PART, self._open) or _DummyExperiment()  # type: ignore[assignment]
        return self._experiment

    def _open(self) -> Any:
        writer = super().experiment
        # A thread writes: its first error would end it with a traceback, and come again with each call of the writer.
        events = writer.file_writer.event_writer._async_writer
        events._writer = events._worker._record_writer = _Records(events._writer, self._guard)
        return writer

    def save(self) -> None:
        """Write what waits, and Lightning's own file of hyper-parameters."""
        self._guard(PART, super().save)


class _Records:
    """The records of an event file.

    Args:
        records: What writes them.
        guard: What keeps its errors.
    """

    def __init__(self, records: Any, guard: Guard) -> None:
        self._records = records
        self._guard = guard

    def write(self, record: bytes) -> None:
        """Write a record."""
        self._guard(PART, self._records.write, record)

    def flush(self) -> None:
        """Write what waits."""
        self._guard(PART, self._records.flush)

    def close(self) -> None:
        """Close the file."""
        self._guard(PART, self._records.close)


def experiments(trainer: Trainer) -> list[Any]:
    """Return the writers of TensorBoard of a trainer that logs; none in other ranks than the first."""
    if not trainer.is_global_zero:
        return []
    writers = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [writer for writer in writers if not isinstance(writer, _DummyExperiment)]

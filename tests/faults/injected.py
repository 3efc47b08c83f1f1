"""Faults, as callbacks that a configuration can name."""

import os
import resource
from typing import Any

from lightning.pytorch import Callback, Trainer


class SignalAt(Callback):
    """Sends this process a signal within a training step or a validation, as if from outside.

    Args:
        number: Number of the signal.
        step: Number of optimizer steps before it.
        times: How often it is sent.
        validating: Whether it comes in a validation.
        rank: Rank of the process that gets it.
    """

    def __init__(self, number: int, step: int, times: int = 1, validating: bool = False, rank: int = 0) -> None:
        self.number = number
        self.step = step
        self.times = times
        self.validating = validating
        self.rank = rank

    def _fire(self, trainer: Trainer) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:  # not again when the run goes on
            times, self.times = self.times, 0
            for _ in range(times):
                os.kill(os.getpid(), self.number)

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if not self.validating:
            self._fire(trainer)

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.validating and not trainer.sanity_checking:
            self._fire(trainer)


class FullDisk(Callback):
    """Lets no file grow beyond some bytes from a step on, as on a full disk.

    Args:
        step: Number of optimizer steps before.
        num_bytes: Largest size of a file.
    """

    def __init__(self, step: int, num_bytes: int) -> None:
        self.step = step
        self.num_bytes = num_bytes

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.num_bytes, most))

"""Faults, as callbacks and datamodules that a configuration can name."""

import io
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightning_template.datamodules import LineDataModule


class SignalAt(Callback):
    """Sends this process a signal within a training step or a validation, as if from outside.

    Args:
        number: Number of the signal.
        step: Number of optimizer steps before it.
        times: How often it is sent.
        validating: Whether it comes in a validation.
        hook: Any other hook in which it comes, whatever the step.
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


def limit_files(num_bytes: int) -> None:
    """Let no file of this process, which is to be a test's own, grow beyond some bytes."""
    assert sys.dont_write_bytecode, "Python would damage its own files"
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


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
            limit_files(self.num_bytes)


class OutOfMemory(Callback):
    """Has a step fail as one does that needs more memory than a GPU has.

    Args:
        step: Number of optimizer steps before.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class KillInSave(Callback):
    """Kills this process while it writes a checkpoint.

    Args:
        number: Number of checkpoints before.
        share: Share of the file that is written by then.
    """

    def __init__(self, number: int, share: float) -> None:
        self.number = number
        self.share = share

    def on_fit_start(self, *_: Any) -> None:
        save: Callable[..., None] = torch.save

        def write(content: object, file: Any) -> None:
            whole = io.BytesIO()
            save(content, whole)
            if self.number == 0:
                file.write(whole.getvalue()[: int(self.share * whole.tell())])
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            self.number -= 1
            file.write(whole.getvalue())

        torch.save = write  # type: ignore[assignment]


class NotFinite(LineDataModule):
    """A line of which one value is missing.

    Args:
        part: Whether it is one of the inputs, 0, or of the targets, 1.
        index: Number of its sample.
    """

    def __init__(self, part: int, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part
        self.index = index

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        train, test = super().load()
        train[self.part][self.index] = torch.nan
        return train, test


Fault = Literal["raises", "dies", "is not a number"]


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """The line y = 3x + 2, sample by sample; the one at x = 10 may be faulty."""

    def __init__(self, number: int, fault: Fault | None) -> None:
        self.number = number
        self.fault = fault

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.tensor([float(index)])
        if index == 10 and self.fault == "raises":
            raise ValueError("sample 10 cannot be read")
        if index == 10 and self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 10 and self.fault == "is not a number":
            x *= torch.nan
        return x, 3 * x + 2


class FaultyLoader(LightningDataModule):
    """Training data from a plain DataLoader, faulty from the second epoch on.

    Args:
        num_samples: Number of samples.
        fault: What happens to one of them.
        num_workers: Number of the loader's workers.
    """

    input_shape = (1,)
    num_targets = 1

    def __init__(self, num_samples: int = 20, fault: Fault | None = None, num_workers: int = 0) -> None:
        super().__init__()
        self.num_samples = num_samples
        self.fault = fault
        self.num_workers = num_workers

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        assert self.trainer is not None
        fault = self.fault if self.trainer.current_epoch else None
        return DataLoader(Samples(self.num_samples, fault), batch_size=4, num_workers=self.num_workers)


class SignalInData(LightningDataModule):
    """Sends this process a signal while the data are made ready, or to it and a worker as a signal to a group comes.

    Args:
        number: Number of the signal.
        phase: Hook in which it comes; `worker` or `validation worker` where a worker loads a sample.
        num_workers: Number of workers of the loaders.
        first: Whom a signal in a worker reaches first.
        swallowed: Whether something catches what the signal raises.
    """

    def __init__(
        self,
        number: int,
        phase: str,
        num_workers: int = 0,
        first: Literal["parent", "worker"] = "parent",
        swallowed: bool = False,
    ) -> None:
        super().__init__()
        self.number = number
        self.phase = phase
        self.num_workers = num_workers
        self.first = first
        self.swallowed = swallowed
        self._fire("init")

    def _fire(self, phase: str) -> None:
        if phase != self.phase:
            return
        try:
            os.kill(os.getpid(), self.number)
        except BaseException:
            if not self.swallowed:
                raise

    def prepare_data(self) -> None:
        self._fire("prepare_data")

    def setup(self, stage: str) -> None:
        self._fire("setup")

    def _loader(self, samples: Dataset[Any], sent_by: str) -> DataLoader[Any]:
        if sent_by == self.phase:
            samples = SignalInWorker(samples, self.number, self.first)
        return DataLoader(samples, batch_size=4, num_workers=self.num_workers)

    def train_dataloader(self) -> DataLoader[Any]:
        self._fire("train_dataloader")
        return self._loader(Samples(40, None), "worker")

    def val_dataloader(self) -> DataLoader[Any]:
        self._fire("val_dataloader")
        return self._loader(Samples(8, None), "validation worker")


class SignalInWorker(Dataset[tuple[Tensor, Tensor]]):
    """Samples of which number 5 sends a signal to the worker that loads it and its parent, one after the other."""

    def __init__(self, samples: Any, number: int, first: str) -> None:
        self.samples = samples
        self.number = number
        self.first = first

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        is_training = any(Path("lightning_logs").rglob("state.json"))  # before that, nothing is to be interrupted
        if index == 5 and is_training and get_worker_info() is not None:
            pids = sorted((os.getppid(), os.getpid()), key=lambda pid: (pid == os.getpid()) != (self.first == "worker"))
            script = "; sleep 0.2; ".join(f"kill -{self.number} {pid}" for pid in pids)
            subprocess.run(["sh", "-c", f"({script}) &"], check=False)
            time.sleep(1)
        sample: tuple[Tensor, Tensor] = self.samples[index]
        return sample

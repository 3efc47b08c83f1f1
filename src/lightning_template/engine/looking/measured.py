"""Seconds of a training step, together and part by part, and what would change them."""

import itertools
import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from lightning_template.engine.dashboard.step_monitor import num_samples
from lightning_template.engine.looking.steps import NUM_WARM, Step, doubled, peak, ratio, rounds, synchronize, unlogged
from lightning_template.engine.looking.trial_cli import EnoughError

TOGETHER_SECONDS = 3.0
"""Time of training as `fit` does it that is measured."""
NUM_PASSES = 10
"""Largest number of steps part by part after an execution."""
LOADER_SECONDS, TRIAL_SECONDS = 1.5, 2.0
LARGER = "a batch twice as large"
WORKERS = (0, 1, 2)
MIN_SHARE = 0.1
"""Share of a step below which waiting for data is no reason to try workers."""


@dataclass
class Measured:
    """What was measured.

    Attributes:
        batch_size: Number of samples in a batch.
        together: Seconds of a step as `fit` makes it.
        parts: Seconds of each part alone.
        workers: Number of workers that load now; None if nobody knows it.
        peak: Floating-point operations a second of a matrix product.
        dtype: Type of its numbers.
        operations: Floating-point operations of a step; 0 if they cannot be counted.
        gains: What changes by which factor of samples a second.
    """

    batch_size: int = 0
    together: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    workers: int | None = None
    peak: float = 0.0
    dtype: str = ""
    operations: int = 0
    gains: dict[str, float] = field(default_factory=dict)

    @property
    def waits(self) -> float:
        """Seconds of a step in which it waits for data: workers load while the rest of a step runs."""
        data, rest = self.parts.get("data", 0.0), sum(self.parts.values()) - self.parts.get("data", 0.0)
        return max(0.0, data - rest) if self.workers else data

    @property
    def around(self) -> float:
        """Seconds that are in no part."""
        rest = sum(self.parts.values()) - self.parts.get("data", 0.0)
        return max(0.0, self.together - rest - self.waits)


class Profile(Callback):
    """Measures a run that has begun, and ends it.

    Steps as `fit` makes them and steps part by part take turns.
    """

    every_execution = True

    def __init__(self) -> None:
        self.found = Measured()
        self._steps = 0
        self._parts: list[dict[str, float]] = []
        self._executions = 0
        self._resumed = (0, 0.0)
        self._spent = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the run go on until enough is measured."""
        trainer.fit_loop.max_epochs = -1
        trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out plateau schedules: what they watch is not measured."""
        kept = [config for config in trainer.strategy.lr_scheduler_configs if not config.reduce_on_plateau]
        trainer.strategy.lr_scheduler_configs = kept

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time of an execution, and make some steps part by part.

        Raises:
            EnoughError: When all is measured.
        """
        synchronize(trainer.strategy.root_device)
        number, began = self._resumed
        steps = trainer.fit_loop.epoch_loop.batch_progress.total.ready - number
        passed = time.perf_counter() - began
        self._executions += 1
        step = Step(trainer, pl_module)
        with unlogged(pl_module):
            if self._executions > NUM_WARM:
                self._steps += steps
                self._spent += passed
            if self._executions >= NUM_WARM:
                self._parts += [step.timed(batch) for _ in range(min(steps, NUM_PASSES))]
            if self._spent >= TOGETHER_SECONDS:
                self._finish(step, batch)
                raise EnoughError
        self._resumed = number + steps, time.perf_counter()

    def _finish(self, step: Step, batch: Any) -> None:
        found, trainer = self.found, step.trainer
        found.batch_size, found.together = num_samples(batch), self._spent / self._steps
        # Means, as that of `together` is one: what else the machine does is in both.
        parts = {name: statistics.mean(part[name] for part in self._parts) for name in self._parts[0]}
        loader = _as_one(trainer.train_dataloader)
        found.workers = getattr(loader, "num_workers", 0 if hasattr(loader, "batches") else None)
        found.parts["data"] = seconds_of_loader(loader)
        raw = next(iter(loader))
        transfer = rounds({"transfer": lambda: step.to_device(raw)}, step.device, 0.2)["transfer"]
        found.parts |= {"transfer": statistics.median(transfer)} | parts
        precision = str(trainer.precision)
        dtype = torch.bfloat16 if "bf16" in precision else torch.float16 if "16" in precision else torch.float32
        found.dtype, found.peak = str(dtype).removeprefix("torch."), peak(step.device, dtype)
        with suppress(Exception):  # of what cannot be traced: the share of the peak is then not known
            found.operations = step.operations(batch)
        self._try(step, step.to_device(raw), loader)

    def _try(self, step: Step, batch: Any, loader: Any) -> None:
        """Measure what changes would give."""
        found = self.found
        if found.waits > MIN_SHARE * found.together:
            found.gains |= gains_of_workers(step, loader, found.workers)
        usual = step.context

        def in_bfloat16() -> None:
            step.context = partial(torch.autocast, step.device.type, dtype=torch.bfloat16)
            try:
                step.all(batch)
            finally:
                step.context = usual

        trials = {"bfloat16": in_bfloat16} if str(step.trainer.precision).startswith("32") else {}
        with suppress(Exception):  # of a batch that is more than rows
            larger = doubled(batch, found.batch_size)
            trials[LARGER] = partial(step.all, larger)
        for name, trial in trials.items():
            with suppress(Exception):  # of an operation that bfloat16 does not have, or of too little memory
                times = rounds({"now": partial(step.all, batch), name: trial}, step.device, TRIAL_SECONDS)
                found.gains[name] = ratio(times, "now", name) * (2 if name == LARGER else 1)


def _as_one(loaders: Any) -> Any:
    """Return what yields batches: several loaders as Lightning takes them."""
    if not isinstance(loaders, dict | list | tuple):
        return loaders
    combined = CombinedLoader(loaders, "max_size_cycle")
    return _Batches(combined)


class _Batches:
    def __init__(self, combined: CombinedLoader) -> None:
        self.combined = combined

    def __iter__(self) -> Any:
        return (batch for batch, _, _ in iter(self.combined))


def seconds_of_loader(loader: Iterable[Any], action: Any = None) -> float:
    """Return the mean time of a batch, without the first, for which workers start.

    Args:
        loader: What yields batches; it starts again after its last one.
        action: What is done with each batch meanwhile, if anything.
    """
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for batch in itertools.islice(batches, 2):
        if action:
            action(batch)
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < LOADER_SECONDS or number < 1:
        batch = next(batches)
        number += 1
        if action:
            action(batch)
    return (time.perf_counter() - began) / number


def gains_of_workers(step: Step, loader: Any, now: int | None) -> dict[str, float]:
    """Return the factor of steps a second with other numbers of workers."""
    if now is None:
        return {}
    times: dict[int, list[float]] = {}
    for workers in (now, *(other for other in WORKERS if other != now), now):  # the present one first and last
        if (other := with_workers(step.trainer, loader, workers)) is None:
            return {}
        passed = seconds_of_loader(other, lambda batch: step.all(step.to_device(batch)))
        times.setdefault(workers, []).append(passed)
    present = statistics.mean(times.pop(now))
    return {f"{workers} workers": present / passed for workers, (passed,) in times.items()}


def with_workers(trainer: Trainer, loader: Any, workers: int) -> Any:
    """Return a training loader with another number of workers; None if nobody knows how to make one."""
    data = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
    if isinstance(getattr(data, "num_workers", None), int):
        before, data.num_workers = data.num_workers, workers
        try:
            return data.train_dataloader()
        finally:
            data.num_workers = before
    if isinstance(loader, DataLoader) and loader.batch_sampler is not None:
        return DataLoader(
            loader.dataset,
            batch_sampler=loader.batch_sampler,
            collate_fn=loader.collate_fn,
            worker_init_fn=loader.worker_init_fn,
            pin_memory=loader.pin_memory,
            num_workers=workers,
        )
    return None

"""What the benchmarks share: contenders take turns, so that a machine that speeds up or slows down favours none."""

import argparse
import contextlib
import io
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.callbacks import Figures
from lightning_template.engine.cli.main import main

ROOT = Path(__file__).parents[1]


class Alternation:
    """Lets a contender's epochs alternate with those of the loop that it is compared to, and times both.

    Args:
        other: Makes an epoch of the other loop each time that it is asked for its next value.
    """

    def __init__(self, other: Iterator[object]) -> None:
        self.other = other
        self.seconds: list[float] = []
        self.other_seconds: list[float] = []
        self._start: float | None = None

    def start_epoch(self) -> None:
        """End the contender's epoch, have the other loop make one, and start the contender's next."""
        self.end_epoch()
        start = time.perf_counter()
        next(self.other)
        self._start = time.perf_counter()
        self.other_seconds.append(self._start - start)

    def end_epoch(self) -> None:
        """End the contender's epoch, if one was started."""
        if self._start is not None:
            self.seconds.append(time.perf_counter() - self._start)
            self._start = None


class EpochClock(Callback):
    """Times the epochs of a trainer, with all that Lightning does in between; made by the command line."""

    alternation = Alternation(itertools.repeat(None))
    weights: dict[str, Tensor] = {}  # noqa: RUF012

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an epoch."""
        self.alternation.start_epoch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the last epoch."""
        self.alternation.end_epoch()
        self.weights.clear()
        self.weights.update(pl_module.get_submodule("network").state_dict())


class TestClock(Callback):
    """Times a test from its first hook to its last."""

    times: list[float] = []  # noqa: RUF012

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a test."""
        self.times[:] = [time.perf_counter()]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a test."""
        self.times.append(time.perf_counter())


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, default=rounds, help="how often each contender is timed")
    options.add_argument("--data_dir", default="data", help="folder that holds FashionMNIST/raw/")
    return options


def take_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return what each contender measured, one number for each round."""
    results: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, measure in contenders.items():
            sys.stderr.write(f"\rround {number + 1} of {rounds}: {name:<40}")
            results[name].append(measure())
    sys.stderr.write(f"\r{'':<60}\r")
    return results


class TimedFigures(Figures):
    """Keeps how long its hooks take, and training all in all."""

    drawing = 0.0
    training = 0.0
    _start = 0.0
    _HOOKS: ClassVar = ("on_validation_epoch_start", "on_validation_batch_end", "on_validation_end", "on_train_end")

    def __init__(self) -> None:
        super().__init__(num_projected=500)
        TimedFigures.drawing = 0.0
        for name in self._HOOKS:
            setattr(self, name, self._timed(getattr(self, name)))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        TimedFigures._start = time.perf_counter()

    def _timed(self, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*args: Any, **kwargs: Any) -> None:
            start = time.perf_counter()
            hook(*args, **kwargs)
            now = time.perf_counter()
            TimedFigures.drawing += now - start
            TimedFigures.training = now - TimedFigures._start  # the last of all hooks has the last word

        return timed


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios, round by round."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


def print_table(results: Mapping[str, Sequence[float]], unit: str, reference: str) -> None:
    """Print the spread of each contender and the median of its ratios, round by round, to the reference."""
    print_rows(results, unit, {name: ratio(values, results[reference]) for name, values in results.items()})


def print_rows(results: Mapping[str, Sequence[float]], unit: str, ratios: Mapping[str, float]) -> None:
    """Print the spread of each contender and its ratio."""
    print(f"{'':<42}{'min':>8}{'median':>8}{'max':>8} {unit:<4}{'ratio':>8}")
    for name, values in results.items():
        spread = f"{min(values):8.3f}{statistics.median(values):8.3f}{max(values):8.3f}"
        print(f"{name:<42}{spread} {unit:<4}{ratios[name]:8.2f}")


def machine() -> str:
    """Return a line that says where this was measured."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    return f"{model}, {threads} threads{device}; Python {platform.python_version()}, torch {torch.__version__}"


class _Nowhere(io.TextIOWrapper):
    """A terminal that shows nothing."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def as_in_a_terminal() -> Iterator[None]:
    """Draw progress bars as in a terminal, but where nobody sees them."""
    os.environ |= {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "COLUMNS": "120"}
    with (
        _Nowhere(Path(os.devnull).open("wb")) as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def run_command(*args: str) -> None:
    """Run a command of the template in this process.

    Raises:
        RuntimeError: If it fails.
    """
    arguments, sys.argv = sys.argv, ["lightning-template", *args]
    try:
        status = main()
    finally:
        sys.argv = arguments
    if status:
        raise RuntimeError(f"{' '.join(args)} ended with {status}")

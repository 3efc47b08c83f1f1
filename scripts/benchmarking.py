"""What the benchmarks share: contenders take turns, so that a machine that speeds up or slows down favours none."""

import argparse
import contextlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.__main__ import main

ROOT = Path(__file__).parents[1]


class EpochClock(Callback):
    """Keeps the times at which epochs and tests start and end, with all that Lightning does in between."""

    times: list[float] = []  # noqa: RUF012  # of the latest run, made by the command line
    weights: dict[str, Tensor] = {}  # noqa: RUF012

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an epoch."""
        self.times.append(time.perf_counter())

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a test."""
        self.times.append(time.perf_counter())

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a test."""
        self.times.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.times.append(time.perf_counter())
        self.weights.clear()
        self.weights.update(pl_module.get_submodule("network").state_dict())


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, default=rounds, help="how often the contenders take turns")
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


def ratios(results: Mapping[str, Sequence[float]], reference: str) -> dict[str, float]:
    """Return the median of each contender's ratios, round by round, to the reference."""
    return {
        name: statistics.median(value / other for value, other in zip(values, results[reference], strict=True))
        for name, values in results.items()
    }


def print_table(results: Mapping[str, Sequence[float]], unit: str, reference: str) -> None:
    """Print the spread of each contender and the median of its ratios, round by round, to the reference."""
    print(f"{'':<42}{'min':>8}{'median':>8}{'max':>8} {unit:<4}{'ratio':>8}")
    for (name, values), ratio in zip(results.items(), ratios(results, reference).values(), strict=True):
        spread = f"{min(values):8.3f}{statistics.median(values):8.3f}{max(values):8.3f}"
        print(f"{name:<42}{spread} {unit:<4}{ratio:8.2f}")


def machine() -> str:
    """Return a line that says where this was measured."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    return f"{model}, {threads} threads{device}; Python {platform.python_version()}, torch {torch.__version__}"


@contextlib.contextmanager
def as_in_a_terminal() -> Iterator[None]:
    """Draw progress bars as in a terminal, but where nobody sees them."""
    os.environ |= {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "COLUMNS": "120"}
    with (
        Path(os.devnull).open("w") as nowhere,
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

"""Seconds from the start of a process: the quick answers, and `fit` up to its first training step."""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarking import ROOT, machine, parser, print_table, take_turns


class FirstStep(Callback):
    """Ends the process before the first training step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Leave at once."""
        os._exit(0)


def run(*args: str) -> float:
    """Return how long a Python process takes that is called with `args`."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *args], check=True, cwd=folder, env=environment, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Run the benchmark and print its table."""
    args = parser(__doc__, rounds=7).parse_args()
    template = ("-m", "lightning_template")
    first_step = (f"--config={ROOT}/configs/line/ols.yaml", "--trainer.callbacks=benchmark_startup.FirstStep")
    contenders = {
        "import lightning.pytorch.cli": partial(run, "-c", "import lightning.pytorch.cli"),
        "fit, to the first step": partial(run, *template, "fit", *first_step),
        "--help": partial(run, *template, "--help"),
        "--version": partial(run, *template, "--version"),
    }
    for contender in contenders.values():
        contender()  # fills the caches
    print(f"seconds from the start of the process, {args.rounds} rounds")
    print(machine())
    print_table(take_turns(contenders, args.rounds), "s", "import lightning.pytorch.cli")


if __name__ == "__main__":
    main()

"""What drawing every figure costs the main job: seconds within the hooks that draw, of those of the whole training."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer

from benchmarking import ROOT, as_in_a_terminal, machine, parser, run_command
from lightning_template.callbacks import Figures


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


def main() -> None:
    """Train, and print what part of it was drawing."""
    options = parser(__doc__, rounds=1)
    options.add_argument("--max_epochs", type=int, default=5)
    args = options.parse_args()
    print(machine())
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder, as_in_a_terminal():
            run_command(
                "fit",
                f"--config={ROOT / 'configs' / 'fashion_mnist' / 'cnn.yaml'}",
                f"--data.data_dir={Path(args.data_dir).absolute()}",
                f"--trainer.max_epochs={args.max_epochs}",
                f"--trainer.default_root_dir={folder}",
                "--trainer.accelerator=cpu",
                "--callbacks.figures=benchmark_figures.TimedFigures",
            )
        drawing, training = TimedFigures.drawing, TimedFigures.training
        ratio = training / (training - drawing)
        print(f"drawing {drawing:.2f} s of {training:.1f} s: {ratio:.3f} times as long as without")


if __name__ == "__main__":
    main()

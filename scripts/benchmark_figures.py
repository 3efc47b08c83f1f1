"""What drawing every figure costs the main job: seconds within the hooks that draw, of those of the whole training."""

import tempfile
from pathlib import Path

from benchmarking import ROOT, TimedFigures, as_in_a_terminal, machine, parser, run_command


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
                "--callbacks.figures=benchmarking.TimedFigures",
            )
        drawing, training = TimedFigures.drawing, TimedFigures.training
        ratio = training / (training - drawing)
        print(f"drawing {drawing:.2f} s of {training:.1f} s: {ratio:.3f} times as long as without")


if __name__ == "__main__":
    main()

"""`lightning-template show`: one picture of what the network gets."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_template.engine.cli.command_line import read_command_line
from lightning_template.engine.looking.options import check_place, read_options
from lightning_template.engine.process.errors import printable
from lightning_template.engine.process.signals import stop_signals

if TYPE_CHECKING:
    from lightning_template.engine.dashboard.data_summary import Summary

HELP = """\
usage: lightning-template show --config FILE [--output FILE.png] [options]

Draws what the network gets: a training batch after augmentation with its labels, the range and mean of its inputs, the
share of each class in each split, and of tables the distribution of each column. Trains nothing, opens nothing.

  --config FILE        experiment, such as configs/fashion_mnist/cnn.yaml, or its name: cnn; further ones override it
  --with NAME          overlay in configs/with
  --output FILE.png    where to write; show.png if not given
  --data.KEY VALUE     any argument of the datamodule; so are all other options those of fit

Splits whose targets are not held in memory are read, up to 5000 samples or 5 seconds of each.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `show` on the command line.

    Returns:
        Exit status 0.

    Raises:
        ValueError: If the command line or the configuration is not valid.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    values, others = read_options(args, {"--output": "show.png"})
    file = Path(values["--output"])
    check_place(file, ".png")
    with stop_signals.listen():
        summary = _summary(read_command_line(["fit", *others]))
        _write(summary, file)
    return 0


def _summary(command_line: Any) -> "Summary":
    from lightning_template.engine.looking.first_batch import FirstBatch  # takes seconds: imports torch
    from lightning_template.engine.looking.trial_cli import trial

    first = FirstBatch()
    with trial(command_line, [first]) as cli:
        cli.train()
    if first.summary is None:
        raise ValueError("there is no training batch: is `limit_train_batches` 0?")
    return first.summary


def _write(summary: "Summary", file: Path) -> None:
    from matplotlib.image import imsave

    from lightning_template.engine.dashboard.data_panels import numbers, picture
    from lightning_template.engine.runs.files import replacing

    pixels = picture(summary)
    with replacing(file) as part:
        imsave(part, pixels, format="png")
    sys.stdout.write(f"{numbers(summary)}\n\npicture  {printable(str(file))}\n")

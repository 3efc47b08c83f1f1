"""`lightning-template find-lr`: a learning rate, and the largest batch that fits."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_template.engine.cli.command_line import CommandLine, read_command_line
from lightning_template.engine.looking.options import check_place, read_options
from lightning_template.engine.process.errors import printable
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.process.tables import table_text
from lightning_template.engine.runs.changes import flatten

if TYPE_CHECKING:
    from lightning_template.engine.looking.learning_rate import RangeTest

HELP = """\
usage: lightning-template find-lr --config FILE [--output FILE.png] [options]

Trains 100 steps with rates that grow from 1e-6 to 10, or until the loss is four times its lowest, and suggests the rate
at which the loss falls fastest. On a GPU it finds the largest batch that fits too. No run directory is made.

  --config FILE        experiment, such as configs/fashion_mnist/cnn.yaml, or its name: cnn; further ones override it
  --with NAME          overlay in configs/with, such as adamw
  --output FILE.png    where to draw the loss over the rate; find-lr.png if not given
  --model.KEY VALUE    any argument of the task; so are all other options those of fit

The schedule of a task is left out meanwhile. Groups of parameters keep the proportion of their rates.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `find-lr` on the command line.

    Returns:
        Exit status: 0, or 1 if the loss falls at no rate.

    Raises:
        ValueError: If the command line or the configuration is not valid, or the module has not one optimizer.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    values, others = read_options(args, {"--output": "find-lr.png"})
    file = Path(values["--output"])
    check_place(file, ".png")
    with stop_signals.listen():
        return _find(read_command_line(["fit", *others]), file)


def _find(command_line: CommandLine, file: Path) -> int:
    from lightning_template.engine.looking.batch_size import LargestBatch  # takes seconds: imports torch
    from lightning_template.engine.looking.learning_rate import RateFinder
    from lightning_template.engine.looking.rate_options import rate_options
    from lightning_template.engine.looking.trial_cli import trial

    largest = LargestBatch()
    finder = RateFinder([largest])
    with trial(command_line, [finder], rehearses=True) as cli:
        cli.train()
        groups = getattr(cli.model, "optimizer_groups", None)
        options = flatten(cli.config_dump)
    found = finder.found
    if found is None:
        raise ValueError("there is nothing to train")
    _draw(found, file)
    rows = [["present rate", f"{found.present:.3g}"]]
    if suggestion := found.suggestion():
        steepest, lowest = suggestion
        rate = found.rates[steepest]
        words = rate_options(options, found.present, rate, groups)
        place = f"{type(cli.model).__name__}.configure_optimizers"
        rows += [
            ["suggested rate", f"{rate:.3g}, where the loss falls fastest; it is lowest at {found.rates[lowest]:.3g}"],
            ["to use it", " ".join(words) or f"no option sets it: change {found.present:.3g} in {place}"],
        ]
    else:
        rows.append(["suggested rate", "none: the loss begins to fall at none of these rates, see the picture"])
    rows.append(["largest batch", largest.said + (f": --data.batch_size {largest.size}" if largest.size else "")])
    rows.append(["picture", str(file)])
    sys.stdout.write(table_text([[printable(cell) for cell in row] for row in rows]))
    return int(suggestion is None)


def _draw(found: "RangeTest", file: Path) -> None:
    from lightning_template.engine.drawing import figure_of_axes
    from lightning_template.engine.runs.files import replacing

    means = found.smoothed().tolist()
    figure, (axes,) = figure_of_axes(7, 4.5, left=0.9)
    axes.plot(found.rates, found.losses, ".", color="tab:gray", label="each step")
    axes.plot(found.rates[: len(means)], means, color="tab:blue", label="mean of neighbours")
    if suggestion := found.suggestion():
        rate, loss = found.rates[suggestion[0]], means[suggestion[0]]
        axes.plot(rate, loss, "o", color="tab:red", markersize=9, label=f"suggested: {rate:.3g}")
    axes.axvline(found.present, color="tab:green", linestyle="--", label=f"present: {found.present:.3g}")
    low, high = min(means, default=0.0), max(means[: len(means) // 2], default=1.0)
    axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
    axes.set_ylim(low - 0.2 * (high - low) - 1e-9, high + 0.5 * (high - low) + 1e-9)
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    with replacing(file) as part:
        figure.savefig(part, format="png")

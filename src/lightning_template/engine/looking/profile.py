"""`lightning-template profile`: where the time of training goes, and what would help."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning_template.engine.cli.command_line import CommandLine, read_command_line
from lightning_template.engine.looking.options import read_options
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.process.tables import table_text
from lightning_template.engine.runs.changes import flatten

if TYPE_CHECKING:
    from lightning_template.engine.looking.measured import Measured

HELP = """\
usage: lightning-template profile --config FILE [options]

Trains for some seconds as fit does, then measures each part of a step alone, the peak of the machine by a matrix
product, and what other workers, bfloat16 and a larger batch would give. It writes nothing.

  --config FILE        experiment, such as configs/fashion_mnist/cnn.yaml, or its name: cnn; further ones override it
  --with NAME          overlay in configs/with, such as bf16
  --data.KEY VALUE     any argument of the datamodule; so are all other options those of fit
"""
WITHOUT_OPTION = {
    "data.num_workers": "`num_workers` of the DataLoader",
    "data.batch_size": "`batch_size` of the DataLoader",
}
"""What to change where the configuration has no such option."""
LEAST_GAIN = 1.05
"""Factor below which a difference may be chance."""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `profile` on the command line.

    Returns:
        Exit status 0.

    Raises:
        ValueError: If the command line or the configuration is not valid.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    _, others = read_options(args, {})
    with stop_signals.listen():
        found, options = _measured(read_command_line(["fit", *others]))
    sys.stdout.write(report(found, options))
    return 0


def _measured(command_line: CommandLine) -> tuple["Measured", Mapping[str, Any]]:
    from lightning_template.engine.looking.measured import Profile  # takes seconds: imports torch
    from lightning_template.engine.looking.trial_cli import trial

    profile = Profile()
    with trial(command_line, [profile], rehearses=True, in_executions=True) as cli:
        cli.train()
    if not profile.found.together:
        raise ValueError("the run ended before anything could be measured")
    return profile.found, flatten(cli.config_dump)


def report(found: "Measured", options: Mapping[str, Any]) -> str:
    """Return what was measured, in a table and in words.

    Args:
        found: What was measured.
        options: Present value of each option.
    """
    total = found.together
    alone = {name: value for name, value in found.parts.items() if name != "data"}
    rows = [["", "ms a step", "of a step"]]
    rows += [["waiting for data", f"{1e3 * found.waits:.3f}", f"{found.waits / total:.0%}"]]
    rows += [[name, f"{1e3 * value:.3f}", f"{value / total:.0%}"] for name, value in alone.items()]
    rows += [["around them", f"{1e3 * found.around:.3f}", f"{found.around / total:.0%}"]]
    rows += [["together", f"{1e3 * total:.3f}", ""]]
    return table_text(rows) + "\n" + "".join(f"{line}\n" for line in [*_words(found), *_advice(found, options)])


def _words(found: "Measured") -> Iterator[str]:
    total, data = found.together, found.parts.get("data", 0.0)
    yield f"{found.batch_size / total:,.0f} samples a second, in batches of {found.batch_size}"
    by = f"{found.workers} workers load" if found.workers else "the loader takes"
    yield f"{by} {1e3 * data:.3f} ms a batch by itself"
    yield f"peak: {found.peak / 1e9:,.0f} GFLOP/s, by a matrix product in {found.dtype}; " + (
        f"a step has {found.operations / 1e9:.3g} GFLOP and reaches {found.operations / total / found.peak:.1%} of it"
        if found.operations
        else "the operations of a step cannot be counted"
    )
    places = {"waiting for data": found.waits, "what is around the parts (hooks, logs, ends of epochs)": found.around}
    places |= {name: value for name, value in found.parts.items() if name != "data"}
    longest = max(places, key=places.__getitem__)
    yield f"most of it: {longest}, {places[longest] / total:.0%} of a step"


def _advice(found: "Measured", options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would help, best first, and what would not."""
    helps = {name: gain for name, gain in found.gains.items() if gain >= LEAST_GAIN}
    for name, gain in sorted(helps.items(), key=lambda item: -item[1]):
        if name == "bfloat16":
            option, value = "trainer.precision", "bf16-mixed"
        elif name.endswith("workers"):
            option, value = "data.num_workers", name.split()[0]
        else:
            option, value = "data.batch_size", f"{2 * found.batch_size}, with a rate for it: find-lr"
        typed = f"--{option} {value}" if option in options else f"{WITHOUT_OPTION[option]}: {value}"
        yield f"would help: {name}, {gain:.2f} times as many samples a second without what is around ({typed})"
    if rest := [f"{name}, {gain:.2f} times" for name, gain in found.gains.items() if name not in helps]:
        yield f"would not help: {'; '.join(rest)}"

"""`lightning-template report`: one page that tells what came of runs. Torch is imported once the options are read."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.printing import print_lines
from lightning_template.engine.cli.commands.runs import find
from lightning_template.engine.runs.files import refusal, write_text

HELP = """\
usage: lightning-template report RUN [RUN ...] [--output FILE.html] [--root DIR]

Writes one page in HTML that stands alone: no network, no script. It has curves, results, what differs in configuration,
environment and the commands that repeat each run. Of what the best weights predict on the validation set it has the
confusion matrix, the most confused pairs, the worst mistakes and calibration, or what the kind of task has. Several
runs are put side by side.

  RUN                 a run directory, EXPERIMENT/version_N, or EXPERIMENT for its newest run
  --output FILE.html  where to write; report.html in the first run's directory if not given
  --root DIR          folder that holds lightning_logs/
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `report` on the command line.

    Raises:
        ValueError: If there is no such run, or the page cannot be written.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    parser = CommandParser("report")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--output")
    parser.add_argument("--root", default=".")
    options = parser.parse_args(args)
    runs = list(dict.fromkeys(find(Path(options.root), name) for name in options.runs))
    path = Path(options.output) if options.output else runs[0] / "report.html"
    if path.suffix != ".html":
        raise ValueError(f"the name must end in .html to say what to write, got {path}")
    if path.is_dir() or not path.parent.is_dir() or (reason := refusal(path.parent)):
        problem = "it is a folder" if path.is_dir() else reason if path.parent.is_dir() else f"no folder {path.parent}"
        raise ValueError(f"cannot write {path}: {problem}")
    from lightning_template.engine.cli.terminal import quieten
    from lightning_template.engine.sharing.report_page import report  # takes seconds: imports torch

    quieten()
    content, missing = report(runs)
    write_text(path, content)
    print_lines("\n".join([*missing, f"report  {path} ({path.stat().st_size / 1e6:.1f} MB)"]))
    return 0

"""`lightning-template new`: writes a task with data, configuration and test, or a project. Imports no torch."""

import sys
from collections.abc import Sequence

from lightning_template.engine.cli.commands.new_project import new_project
from lightning_template.engine.cli.commands.new_task import new_task
from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.skeleton import Project
from lightning_template.engine.cli.commands.task_kinds import DATA, KINDS

DEFAULT_KIND = "classification"
HELP = f"""\
usage: lightning-template new task NAME [--kind KIND] [--data DATA] [--path DIR]
       lightning-template new project NAME DIR [--kind KIND] [--data DATA]

  task       write a task, its data, a configuration and a test, which pass and train as they are
  project    make a small project with one such task, which depends on this package; `upgrade` gives it later versions

  --kind KIND    {", ".join(KINDS)}
                 ({DEFAULT_KIND} if not given)
  --data DATA    {", ".join(DATA)} ({DATA[0]} if not given)
  --path DIR     project, package or folder to write into; the working directory if not given
"""


def main(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: What follows `new` on the command line.

    Raises:
        ValueError: If the command line is not valid, or something is in the way.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return
    parser = CommandParser("new")
    commands = parser.add_subparsers(dest="command", required=True)
    task = commands.add_parser("task")
    task.add_argument("name")
    task.add_argument("--path", default=".")
    project = commands.add_parser("project")
    project.add_argument("name")
    project.add_argument("folder")
    for command in (task, project):
        command.add_argument("--kind", choices=KINDS, default=DEFAULT_KIND)
        command.add_argument("--data", choices=DATA, default=DATA[0])
    options = parser.parse_args(args)
    if options.command == "task":
        sys.stdout.write(new_task(options.name, options.kind, options.data, options.path))
    else:
        sys.stdout.write(new_project(Project(options.name, options.kind, options.data), options.folder))

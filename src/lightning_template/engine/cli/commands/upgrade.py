"""`lightning-template upgrade`: gives a project the version that runs the command. Imports no torch."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lightning_template.engine.cli.commands.changes import Change, Snapshot, changes_of
from lightning_template.engine.cli.commands.git import git
from lightning_template.engine.cli.commands.new_task import next_steps
from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.skeleton import Project, read_project, skeleton
from lightning_template.engine.cli.commands.wheels import PACKAGE, VENDOR, build_wheel, contents, reason_of, version_of
from lightning_template.engine.process.signals import stop_signals

HELP = """\
usage: NEW/scripts/run lightning-template upgrade

Gives the project in the working directory, which `new project` made, the version of lightning-template that runs this
command. NEW is a checkout of that version; an environment with that version installed does as well.

The wheel in vendor/ is exchanged, and with it the lines of requirements.lock that you did not change. What the new
version has changed in the files of the project is merged into yours by git. Where both changed the same lines, the
file is named and has both, between <<<<<<< and >>>>>>>. Then the project's tests run, with your lines there.

Exit status: 0 if upgraded; 1 if the tests failed, and the project is as it was; 2 if nothing was begun.
"""

# Exit status of pytest where all tests pass, and where there are none.
_PASSED = (0, 5)


def main(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: What follows `upgrade` on the command line.

    Raises:
        ValueError: If the working directory holds no project that can be upgraded.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return
    CommandParser("upgrade").parse_args(args)
    with stop_signals.listen():
        sys.stdout.write(upgrade(Path()))


def upgrade(folder: Path) -> str:
    """Give a project the version of this package.

    Args:
        folder: The project.

    Returns:
        What was done, and what to type next.

    Raises:
        ValueError: If the folder holds no project that can be upgraded.
        SystemExit: If the project's tests fail. The project is then as it was.
    """
    project, old = _find(folder)
    with tempfile.TemporaryDirectory() as room:
        new = build_wheel(Path(room))
        if contents(old) == contents(new):
            return f"nothing to do: the project has this {PACKAGE}, {version_of(new)}, already\n"
        versions = f"{PACKAGE} {version_of(old)}", f"{PACKAGE} {version_of(new)}"
        changes = changes_of(folder, old_skeleton(project, old), skeleton(project, new), versions)
        wheels = {f"{VENDOR}/{old.name}": None, f"{VENDOR}/{new.name}": new.read_bytes()}
    _apply(folder, changes, wheels)
    lines = [f"upgraded   {versions[0]} to {version_of(new)}", *map(str, changes)]
    return "\n".join(lines + next_steps(["git diff", "./scripts/run pytest"])) + "\n"


def old_skeleton(project: Project, wheel: Path) -> dict[str, str]:
    """Return the texts that a wheel would make a project of: its own code runs, from within it.

    Raises:
        ValueError: If it cannot.
    """
    code = (
        "import json, pathlib, sys; sys.path.insert(0, sys.argv[1]); "
        "from lightning_template.engine.cli.commands.skeleton import Project, skeleton; "
        "print(json.dumps(skeleton(Project(*sys.argv[2:]), pathlib.Path(sys.argv[1]))))"
    )
    words = [sys.executable, "-I", "-c", code, str(wheel.resolve()), *project]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{wheel} does not tell what it made: {reason_of(done)}")
    texts: dict[str, str] = json.loads(done.stdout)
    return texts


def _find(folder: Path) -> tuple[Project, Path]:
    """Return a project and its wheel."""
    project = read_project(folder)
    if project is None:
        raise ValueError("no project here: type this in a folder that `lightning-template new project` made")
    if not (folder / "scripts" / "run").is_file():
        raise ValueError("no scripts/run here, which runs the project's tests: bring it back")
    git(folder, "--version")
    wheels = [*(folder / VENDOR).glob(f"{PACKAGE.replace('-', '_')}-*.whl")]
    if len(wheels) != 1:
        raise ValueError(f"{VENDOR}/ must hold one wheel of {PACKAGE}, the one in use: it has {len(wheels)}")
    return project, wheels[0]


def _apply(folder: Path, changes: Sequence[Change], wheels: dict[str, bytes | None]) -> None:
    """Write what changes, if the tests pass with it."""
    snapshot = Snapshot(folder)
    try:
        snapshot.write(wheels | {change.path: change.tested for change in changes})
        status = run_tests(folder)
        if status not in _PASSED:
            raise SystemExit(
                f"error: the tests do not pass with the new version (exit status {status}, see above); "
                "the project is as it was"
            )
        snapshot.write({change.path: change.text for change in changes})
    except BaseException:
        snapshot.restore()
        raise


def run_tests(folder: Path) -> int:
    """Run a project's tests in its own environment, and return their exit status."""
    ours = Path(sys.executable).parent
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LIGHTNING_TEMPLATE_LAUNCHER")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    path = environment.get("PATH", os.defpath).split(os.pathsep)
    environment["PATH"] = os.pathsep.join(part for part in path if Path(part) != ours)
    words = [str(folder.resolve() / "scripts" / "run"), "pytest"]
    return subprocess.run(words, cwd=folder, env=environment, check=False).returncode

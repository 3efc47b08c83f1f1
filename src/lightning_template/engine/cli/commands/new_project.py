"""Makes a project that depends on this package."""

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

from lightning_template.engine.cli.commands.git import git
from lightning_template.engine.cli.commands.new_task import next_steps
from lightning_template.engine.cli.commands.samples import SAMPLES, write_samples
from lightning_template.engine.cli.commands.skeleton import Project, skeleton
from lightning_template.engine.cli.commands.task_kinds import KINDS
from lightning_template.engine.cli.commands.task_texts import task_name
from lightning_template.engine.cli.commands.wheels import VENDOR, build_wheel


def new_project(project: Project, folder: str) -> str:
    """Make a project with one task, and begin a git history.

    Args:
        project: Name of the project, kind of its task and source of its data.
        folder: Folder to make.

    Returns:
        What was made, and what to type next.

    Raises:
        ValueError: If the name cannot be a package's, something is in the folder, or no wheel can be built.
    """
    target = Path(folder)
    _check(project, target)
    is_new = not target.exists()
    try:
        files = _write(project, target)
        _commit(project, target, files)
    except BaseException:
        for path in [target] if is_new else target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        raise
    steps = [
        f"cd {shlex.quote(str(target))}",
        f"./scripts/run lightning-template fit --config configs/{project.package}.yaml",
        "./scripts/run pytest",
    ]
    return "\n".join([f"made       {target}, {len(files)} files", *next_steps(steps)]) + "\n"


def _check(project: Project, target: Path) -> None:
    """Check that the project can be made."""
    package = task_name(*project)
    spec = None if package in sys.stdlib_module_names else importlib.util.find_spec(package)
    if package in sys.stdlib_module_names or package == "tests" or (spec and spec.origin):  # no origin: only a folder
        raise ValueError(f"a package named {package} would hide another one: take another name")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{target} is there already, and nothing is overwritten: name a new or an empty folder")
    git(Path(), "--version")


def _write(project: Project, target: Path) -> list[str]:
    """Write the files of a project and return their names."""
    (target / VENDOR).mkdir(parents=True)
    wheel = build_wheel(target / VENDOR)
    texts = skeleton(project, wheel)
    for name, text in texts.items():
        write_file(target / name, text.encode())
    if project.data in SAMPLES:
        write_samples(project.data, target / SAMPLES[project.data].format(project.package), KINDS[project.kind].samples)
    return [*texts, f"{VENDOR}/{wheel.name}"]


def write_file(path: Path, content: bytes) -> None:
    """Write a file of a project and the folders above it. A new script becomes executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_script = content.startswith(b"#!") and not path.exists()
    path.write_bytes(content)
    if is_script:
        path.chmod(path.stat().st_mode | 0o111)


def _commit(project: Project, target: Path, files: list[str]) -> None:
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--force", "--", *files)  # a user's own rules may ignore wheels
    try:
        git(target, "var", "GIT_COMMITTER_IDENT")
        author = []
    except ValueError:  # git does not know its user
        author = ["-c", f"user.name={project.package}", "-c", f"user.email={project.package}@localhost"]
    git(target, *author, "commit", "--quiet", "--message", f"Begin {project.name}")

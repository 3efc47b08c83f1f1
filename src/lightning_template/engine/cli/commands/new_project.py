"""Makes a project of the user's own from this one."""

import importlib.util
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lightning_template.engine.cli.commands.new_task import snake_case

ROOT = Path(__file__).resolve().parents[5]
"""The checkout that this package lies in, if it lies in one."""


def new_project(name: str, folder: str) -> str:
    """Copy this project under another name, and begin a git history.

    Args:
        name: Name of the project, of letters, digits, dashes and underscores.
        folder: Folder to make.

    Returns:
        What was made, and what to type next.

    Raises:
        ValueError: If the name cannot be a package's, something is in the folder, or this is no git checkout.
    """
    package = snake_case(name)
    if package in sys.stdlib_module_names or (ROOT / package).exists() or importlib.util.find_spec(package):
        raise ValueError(f"a package named {package} would hide another one: take another name")
    target = Path(folder)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{target} is there already, and nothing is overwritten: name a new or an empty folder")
    if not (ROOT / "pyproject.toml").is_file():
        raise ValueError(f"a project is made from a git checkout of this one, and {ROOT} is none")
    tracked = dict.fromkeys(_git(ROOT, "ls-files", "-z").split("\0"))  # those of an unfinished merge come twice
    files = [file for file in tracked if (ROOT / file).is_file()]
    if not files:
        raise ValueError(f"a project is made of the files that git tracks, and it tracks none in {ROOT}")
    for file in files:
        _copy(ROOT / file, target / _rename(file, package), package)
    title = package.replace("_", " ").capitalize()
    (target / "CHANGELOG.md").write_text(f"# Changelog\n\n## 0.1.0 (unreleased)\n\n- {title} begins.\n")
    if importlib.util.find_spec("ruff"):  # another name, another order of imports
        for words in (["check", "--select", "I", "--fix"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *words, "--quiet", "--no-cache", str(target)], check=True)
    _git(target, "init", "--quiet", "--initial-branch=main")
    _git(target, "add", "--all")
    known = subprocess.run(["git", "var", "GIT_COMMITTER_IDENT"], cwd=target, capture_output=True, check=False)
    author = [] if known.returncode == 0 else ["-c", f"user.name={package}", "-c", f"user.email={package}@localhost"]
    _git(target, *author, "commit", "--quiet", "--message", f"Begin {title}")
    steps = [
        f"cd {shlex.quote(str(target))}",
        f"./scripts/run {package.replace('_', '-')} fit --config configs/fashion_mnist/cnn.yaml",
        "./scripts/run pytest",
    ]
    lines = [f"made       {target}, {len(files)} files"]
    return "\n".join(lines + [f"{'then' if step is steps[0] else '':<10} {step}" for step in steps]) + "\n"


def _copy(source: Path, copy: Path, package: str) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy.write_text(_rename(source.read_text(encoding="utf-8"), package), encoding="utf-8")
    except UnicodeDecodeError:  # a picture
        shutil.copyfile(source, copy)
    shutil.copymode(source, copy)


def _rename(text: str, package: str) -> str:
    """Replace the name of this project, in each form that it has, and the example's name where it would be the same."""
    example = (("flower", "tulip"), ("Flower", "Tulip")) if package == "flower_power" else ()
    for old, new in (
        *example,
        ("lightning_template", package),
        ("LIGHTNING_TEMPLATE", package.upper()),
        ("lightning-template", package.replace("_", "-")),
        ("Lightning template", package.replace("_", " ").capitalize()),
    ):
        text = text.replace(old, new)
    return text


def _git(folder: Path, *args: str) -> str:
    """Return what git prints.

    Raises:
        ValueError: If git is missing, or does not do it.
    """
    try:
        return subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ValueError("a project has a git history, and git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise ValueError(f"git {args[0]} failed in {folder}: {error.stderr.strip()}") from error

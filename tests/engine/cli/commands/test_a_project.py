"""A project in an environment of its own: what README and docs/project.md tell runs, and later versions come."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from versions import contents_of

from conftest import ROOT
from lightning_template import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PAGE = (ROOT / "docs" / "project.md").read_text()
OLD_VERSION = "0.0.9"
TINY_TEST = "import {package}.{package}_task as task\n\n\ndef test_it() -> None:\n    assert task.FlowersTask\n"
EXTRA = ["--trainer.max_epochs=1", "--callbacks.figures=null"]


def run(folder: Path, *words: str, source: Path | None = None, status: int = 0) -> str:
    """Run a command outside of this environment; with a source, `python -m` of this environment and that source."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LIGHTNING_TEMPLATE_LAUNCHER", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    if source:
        environment["PYTHONPATH"] = str(source)
        words = (sys.executable, "-m", *words)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def replace(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def copy_checkout(folder: Path) -> Path:
    """Return a copy of what a wheel is built from."""
    for name in ("src", "pyproject.toml", "README.md", "LICENSE", "requirements.lock", ".gitignore"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that a made-up old version made, in a folder whose path has a space."""
    folder = tmp_path_factory.mktemp("a project")
    old = folder / "old"
    old.mkdir()
    copy_checkout(old)
    replace(old / "src/lightning_template/__init__.py", f'"{__version__}"', f'"{OLD_VERSION}"')
    templates = old / "src/lightning_template/engine/cli/commands/templates"
    replace(templates / "project/readme.txt", "driven by `lightning-template`", "on a package")
    replace(templates / "project/run.txt", "Runs a command", "Starts a command")
    run(folder, "lightning_template", "new", "project", "flowers", "flowers", source=old / "src")
    yield folder / "flowers"
    shutil.rmtree(folder)  # gigabytes


def version(project: Path) -> str:
    """Return the version that the project has installed, once its lock is."""
    printed = run(project, "./scripts/run", "lightning-template", "--version")
    return "".join(re.findall(r"^lightning-template (\S+)$", printed, flags=re.MULTILINE))


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_commands_of_readme_and_docs(project: Path) -> None:
    lines = commands(PAGE)
    assert lines[:2] == ["./scripts/run lightning-template new project flowers ../flowers", "cd ../flowers"]
    assert commands((project / "README.md").read_text()) == lines[2:4]
    later = [line for line in lines[2:] if "upgrade" not in line and line != "./scripts/run pytest"]
    assert len(later) > 5
    for line in later:
        words = shlex.split(line)
        run(project, *words, *EXTRA * ("fit" in words))
    assert (project / "lightning_logs/flowers/version_0/checkpoints/best.ckpt").is_file()
    lock = (project / "requirements.lock").read_text()
    assert "://" not in lock
    assert str(project) not in lock
    assert f"vendor/lightning_template-{version(project)}" in lock


def test_the_gate_passes(project: Path) -> None:
    assert "./scripts/run pytest\n" in (project / ".ci" / "run").read_text()
    (project / "tests" / "test_roses.py").unlink(missing_ok=True)  # as those of the first task, which run
    run(project, "bash", ".ci/run")


def test_an_upgrade_brings_the_new_version(project: Path) -> None:
    (project / "tests" / "test_flowers.py").write_text(TINY_TEST.format(package="flowers"))
    replace(project / "README.md", "on a package", "on mine")
    replace(project / ".gitignore", "/dist/\n", "/dist/\n/mine/\n")
    with (project / "scripts" / "run").open("a") as file:
        file.write("# mine\n")
    assert version(project) == OLD_VERSION
    printed = run(project, "lightning_template", "upgrade", source=ROOT / "src")
    assert f"upgraded   lightning-template {OLD_VERSION} to {__version__}\n" in printed
    assert "conflict   README.md: look for <<<<<<<\n" in printed
    assert "merged     scripts/run: +1 -1 lines\n" in printed
    script = (project / "scripts" / "run").read_text()
    assert script.endswith("# mine\n")
    assert "# Runs a command" in script
    assert "/mine/\n" in (project / ".gitignore").read_text()
    assert version(project) == __version__
    run(project, "./scripts/run", "lightning-template", "fit", "--config", "configs/flowers.yaml", *EXTRA)


def test_an_upgrade_that_fails_the_tests_leaves_the_project(project: Path, tmp_path: Path) -> None:
    copy_checkout(tmp_path)
    replace(tmp_path / "src/lightning_template/__init__.py", f'"{__version__}"', '"9.9"')
    replace(
        tmp_path / "src/lightning_template/engine/cli/commands/templates/project/run.txt", "Runs a command", "Executes"
    )
    test = (
        f"from lightning_template import __version__\n\n\ndef test():\n    assert __version__ == {version(project)!r}\n"
    )
    (project / "tests" / "test_flowers.py").write_text(test)
    before = tracked(project)
    printed = run(project, "lightning_template", "upgrade", source=tmp_path / "src", status=1)
    assert "AssertionError: assert '9.9' ==" in printed
    assert "error: the tests do not pass with the new version" in printed
    assert tracked(project) == before
    run(project, "./scripts/run", "pytest")


def tracked(project: Path) -> dict[str, bytes]:
    ignored = (".venv", ".git/", ".pytest_cache", ".mypy_cache", ".ruff_cache", "lightning_logs/")
    return {
        name: text
        for name, text in contents_of(project).items()
        if not name.startswith(ignored) and "__pycache__" not in name
    }

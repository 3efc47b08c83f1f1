"""The `scripts/run` of a project: what it installs, and when. uv is a fake that makes a real environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_template.engine.cli.commands.task_texts import read_template

TOOLS = ["awk", "bash", "cat", "dirname", "head", "rm", "env", "cp"]
UV = f"""#!{shutil.which("bash")}
echo "uv $*" >>"$LOG"
case "$1 ${{2-}}" in
  "venv -q") '{sys.executable}' -I -m venv --without-pip "${{!#}}" ;;
  "pip install") [ -z "$BROKEN" ] || {{ echo "fake uv is broken" >&2; exit 9; }} ;;
esac
"""


class Project:
    """A project with a lock and a PATH of few tools."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.log = folder / "a project", folder / "bin", folder / "log"
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "src" / "flowers").mkdir(parents=True)
        self.bin.mkdir()
        self.log.touch()
        (self.root / "src" / "flowers" / "__init__.py").write_text("NAME = 'flowers'\n")
        (self.root / "requirements.lock").write_text("torch==1\n")
        (self.root / "scripts" / "run").write_text(read_template("project/run"))
        (self.root / "scripts" / "run").chmod(0o755)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        (self.bin / "python3").symlink_to(sys.executable)
        (self.bin / "uv").write_text(UV)
        (self.bin / "uv").chmod(0o755)

    def run(self, *words: str, broken: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": str(self.bin), "LOG": str(self.log), "BROKEN": broken, "PYTHONHOME": "/nowhere"} | more
        script = str(self.root / "scripts" / "run")
        return subprocess.run([script, *words], cwd="/", env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        """Return the calls of uv since the last look."""
        lines = self.log.read_text().replace(str(self.root), "ROOT").splitlines()
        self.log.write_text("")
        return [line.removeprefix("uv ") for line in lines if line != "uv --version"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


INSTALL = (
    "pip install -q --python ROOT/.venv/bin/python --reinstall-package lightning-template "
    "--require-hashes -r requirements.lock"
)
INSTALL_ALL = "install --require-hashes -r requirements.lock"
IMPORT = ("python", "-c", "import flowers, os; print(flowers.NAME, os.environ['LIGHTNING_TEMPLATE_LAUNCHER'])")


def test_the_first_call_installs_and_the_next_ones_do_not(project: Project) -> None:
    first = project.run(*IMPORT)
    assert (first.returncode, first.stdout) == (0, f"flowers {project.root}/scripts/run\n"), first.stderr
    calls = project.calls()
    assert [call.split(" ")[0] for call in calls] == ["venv", "pip"]
    assert calls[1] == INSTALL
    second = project.run("python", "-c", "import sys; print(sys.argv[1:])", "two words", "*")
    assert (second.stdout, second.stderr, project.calls()) == ("['two words', '*']\n", "", [])


def test_another_lock_is_installed_into_the_same_environment(project: Project) -> None:
    assert project.run("env").returncode == 0
    (project.root / ".venv" / "mine").touch()
    project.calls()
    with (project.root / "requirements.lock").open("a") as lock:
        lock.write("pandas==1\n")
    assert project.run("env").returncode == 0
    assert project.calls() == [INSTALL]
    assert (project.root / ".venv" / "mine").exists()


def test_a_failed_installation_begins_again(project: Project) -> None:
    done = project.run("env", broken="yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "fake uv is broken\nscripts/run: set-up failed, see above; the next call starts again\n"
    )
    project.calls()
    (project.root / ".venv" / "half").touch()
    assert project.run("env").returncode == 0
    assert [call.split(" ")[0] for call in project.calls()] == ["venv", "pip"]
    assert not (project.root / ".venv" / "half").exists()


def test_a_moved_project_gets_another_environment(project: Project) -> None:
    assert project.run("env").returncode == 0
    project.root = project.root.rename(project.root.with_name("moved"))
    project.calls()
    assert project.run(*IMPORT).returncode == 0
    assert [call.split(" ")[0] for call in project.calls()] == ["venv", "pip"]


def test_an_environment_of_somebody_else_stays(project: Project) -> None:
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "mine").touch()
    done = project.run("env")
    assert (done.returncode, project.calls()) == (2, [])
    assert "was not made by scripts/run: move it away or delete it" in done.stderr
    assert os.listdir(project.root / ".venv") == ["mine"]  # noqa: PTH208


def test_no_command_and_no_python(project: Project) -> None:
    done = project.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("scripts/run: usage: scripts/run COMMAND")
    (project.bin / "python3").unlink()
    (project.bin / "uv").unlink()
    done = project.run("env")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no Python >= 3.11 on PATH" in done.stderr
    assert not (project.root / ".venv").exists()


def test_an_old_python_is_passed_over(project: Project) -> None:
    (project.bin / "python3").rename(project.bin / "python3.13")
    (project.bin / "python3").write_text("#!/bin/sh\nexit 1\n")
    (project.bin / "python3").chmod(0o755)
    assert project.run("env").returncode == 0


PYTHON = f"""#!{shutil.which("bash")}
case "$*" in
  *sys.version_info*) echo "$0" ;;
  *"-m venv"*) '{sys.executable}' "$@" --without-pip && cp "$PIP" "$4"/lib/python*/site-packages ;;
  *) exec '{sys.executable}' "$@" ;;
esac
"""
# A pip that says how it was called, and installs the fake of uv.
PIP = """
import os, pathlib, shutil, sys
words = " ".join(sys.argv[1:])
with open(os.environ["LOG"], "a") as log:
    log.write(f"pip {words}\\n")
if "uv.lock" in words:
    if os.environ["BROKEN"]:
        sys.exit(1)
    assert pathlib.Path(sys.argv[5]).read_text() == "uv==1 \\\\\\n    --hash=sha256:2\\n"
    shutil.copy(os.environ["UV"], pathlib.Path(sys.argv[5]).parent / "bin" / "uv")
"""


def hide_uv(project: Project, folder: Path) -> dict[str, str]:
    """Take uv off PATH and let environments have a fake pip; return what the fakes must know."""
    (project.bin / "uv").rename(folder / "uv")
    (project.bin / "python3").unlink()
    (project.bin / "python3").write_text(PYTHON)
    (project.bin / "python3").chmod(0o755)
    (folder / "pip.py").write_text(PIP)
    (project.root / "requirements.lock").write_text(
        "torch==1 \\\n    --hash=sha256:1\nuv==1 \\\n    --hash=sha256:2\nuvloop==1 \\\n    --hash=sha256:3\n"
    )
    return {"UV": str(folder / "uv"), "PIP": str(folder / "pip.py")}


QUIET = "-q --disable-pip-version-check"
INSTALL_UV = f"pip install --no-deps --require-hashes -r ROOT/.venv/uv.lock {QUIET}"


@pytest.mark.parametrize("broken", ["", "yes"])
def test_without_uv_pip_installs_it_or_all(broken: str, project: Project, tmp_path: Path) -> None:
    done = project.run(*IMPORT, broken=broken, **hide_uv(project, tmp_path))
    assert done.returncode == 0, done.stderr
    others = [f"pip {words} {QUIET}" for words in ("uninstall -y lightning-template", INSTALL_ALL)]
    assert project.calls() == [INSTALL_UV, *(others if broken else [INSTALL])]
    assert ("no uv, using pip" in done.stderr) == bool(broken)


@pytest.mark.parametrize("is_locked", [True, False])
def test_uv_may_go_after_it_made_an_environment(is_locked: bool, project: Project, tmp_path: Path) -> None:
    assert project.run("env").returncode == 0
    project.calls()
    (project.root / ".venv" / "mine").touch()
    hidden = hide_uv(project, tmp_path)
    if is_locked:
        shutil.copy(hidden["UV"], project.root / ".venv" / "bin" / "uv")
    assert project.run("env", **hidden).returncode == 0
    assert project.calls() == ([] if is_locked else [INSTALL_UV]) + [INSTALL]
    assert (project.root / ".venv" / "mine").exists() == is_locked  # that of uv has no pip

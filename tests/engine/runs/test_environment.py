"""The description of what a run depends on."""

import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

from lightning_template.engine.runs import environment


def git(*args: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    return subprocess.run(["git", *who, *args], capture_output=True, text=True, check=True).stdout.strip()


def own_version() -> str | None:
    """Return the version of this project; None where it is used without having been installed."""
    try:
        return version(environment.PACKAGES[0])
    except PackageNotFoundError:
        return None


def test_the_environment_is_that_of_this_process(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = environment.describe_environment()
    installed = {name: version(name) for name in environment.PACKAGES[1:]}
    assert found.pop("packages") == {environment.PACKAGES[0]: own_version(), **installed}
    started = datetime.fromisoformat(found.pop("started"))
    assert started.microsecond == 0
    assert timedelta(0) <= datetime.now(UTC) - started < timedelta(minutes=5)
    assert found == {
        "command": ["lightning-template", "fit"],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git_commit": None,
        "git_dirty": None,
        "git_changed": [],
        "git_diff": None,
        "device": platform.machine(),
        "num_threads": torch.get_num_threads(),
        "seed": "7",
    }


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert environment.describe_environment()["device"] == "a GPU"


def test_the_commit_and_whether_there_are_changes(workspace: Path) -> None:
    git("init", "-q")
    Path("file").write_text("a")
    git("add", "file")
    git("commit", "-qm", "first")
    clean = environment.describe_environment()
    assert clean["git_commit"] == git("rev-parse", "HEAD")
    assert clean["git_dirty"] is False
    Path("file").write_bytes(b"\xff")
    Path("na\u00efve").touch()
    changed = environment.describe_environment()
    assert changed["git_dirty"] is True
    assert [line.split()[0] for line in changed["git_changed"]] == ["M", "??"]
    Path("file").write_bytes(b"b")
    again = environment.describe_environment()
    assert again["git_changed"] == changed["git_changed"]
    assert again["git_diff"] != changed["git_diff"]


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 10)])
def test_git_that_is_not_there_or_hangs_says_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: object, timeout: float, **kwargs: object) -> None:
        assert timeout <= 10
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    found = environment.describe_environment()
    assert (found["git_commit"], found["git_dirty"]) == (None, None)


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package", "torch"))
    assert environment.describe_environment()["packages"] == {"no-such-package": None, "torch": version("torch")}

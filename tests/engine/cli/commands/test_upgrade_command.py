"""`upgrade` merges what changed between two versions into a project, or leaves it as it was."""

import hashlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from versions import PROJECT, TEMPLATES, contents_of, made_up, make_project

from conftest import Command
from lightning_template import __version__
from lightning_template.engine.cli.commands import upgrade

EDITS = {  # the old version's texts, by those of this one
    f"{TEMPLATES}/project/readme.txt": ("driven by `lightning-template`", "on a package"),
    f"{TEMPLATES}/project/ci.txt": ("./scripts/run mypy\n", ""),
    f"{TEMPLATES}/project/run.txt": ("Runs a command", "Starts a command"),
    f"{TEMPLATES}/test.txt": ("pass every check", "pass checks"),
    "extra_metadata/requirements.lock": ("absl-py==", "absl-py==0."),
}
FAILED = "error: the tests do not pass with the new version"
OLD = f"lightning-template 0.0.9 to {__version__}"


class Tests:
    """What stands in for the project's tests: they end with `status`, and see the project's files."""

    status = 0
    seen: dict[str, bytes]
    effect: Callable[[], object] = int

    def __call__(self, folder: Path) -> int:
        self.seen = contents_of(folder)
        self.effect()
        return self.status


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> Tests:
    tests = Tests()
    monkeypatch.setattr(upgrade, "run_tests", tests)
    return tests


@pytest.fixture(scope="session")
def old_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(wheel, tmp_path_factory.mktemp("old"), "0.0.9", EDITS)


@pytest.fixture
def project(workspace: Path, built: Path, old_wheel: Path, tests: Tests) -> Path:
    """A project of the version 0.0.9, in the working directory."""
    make_project(workspace, old_wheel)
    return workspace


def replace(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_an_untouched_project_becomes_one_of_the_new_version(
    project: Path, command: Command, tests: Tests, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = command("upgrade")
    assert result.status == 0, result.err
    fresh = tmp_path_factory.mktemp("fresh")
    make_project(fresh, built)
    assert contents_of(project) == contents_of(fresh) == tests.seen
    assert result.out.splitlines() == [
        f"upgraded   {OLD}",
        "changed    .ci/run: +1 -0 lines",
        "changed    README.md: +1 -1 lines",
        "changed    pyproject.toml: +1 -1 lines",
        "changed    requirements.lock: +3 -3 lines",
        "changed    scripts/run: +1 -1 lines",
        "changed    tests/test_flower_power.py: +1 -1 lines",
        "then       git diff",
        "           ./scripts/run pytest",
    ]


def test_edits_stay(project: Path, command: Command, built: Path) -> None:
    replace(project / "README.md", "The first call makes", "Mine: the first call makes")
    replace(project / "pyproject.toml", '  "lightning-template",\n', '  "lightning-template",\n  "pandas",\n')
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.mine]\n")
    (project / "configs" / "flower_power.yaml").write_text("mine\n")
    lock = project / "requirements.lock"
    replace(lock, "pygments==", "pygments==99.")
    lock.write_text(f"--extra-index-url mine\n{lock.read_text()}pandas==1 \\\n    --hash=sha256:1\n    # via mine\n")
    result = command("upgrade")
    assert result.status == 0, result.err
    readme = (project / "README.md").read_text()
    assert "Mine: the first call makes" in readme
    assert "driven by `lightning-template`" in readme
    pyproject = (project / "pyproject.toml").read_text()
    assert '  "pandas",\n' in pyproject
    assert pyproject.endswith("[tool.mine]\n")
    assert f"vendor/{built.name}" in pyproject
    assert (project / "configs" / "flower_power.yaml").read_text() == "mine\n"
    text = lock.read_text()
    assert text.startswith("--extra-index-url mine\nabsl-py==2")
    assert "\npygments==99." in text
    assert "\npandas==1 \\\n    --hash=sha256:1\n" in text
    assert f"vendor/{built.name} \\\n    --hash=sha256:{hashlib.sha256(built.read_bytes()).hexdigest()}\n" in text
    assert "0.0.9" not in text
    assert "merged     README.md: +1 -1 lines\n" in result.out


def test_a_conflict_is_named_and_left_as_git_leaves_it(project: Path, command: Command, tests: Tests) -> None:
    replace(project / "README.md", "on a package", "on mine")
    replace(project / "README.md", "The first call makes", "Mine: the first call makes")
    result = command("upgrade")
    assert result.status == 0, result.err
    assert "conflict   README.md: look for <<<<<<<\n" in result.out
    line = "A project on PyTorch Lightning, "
    assert (
        f"<<<<<<< yours\n{line}on mine.\n=======\n{line}driven by `lightning-template`.\n"
        f">>>>>>> lightning-template {__version__}\n" in (project / "README.md").read_text()
    )
    assert b"<<<<<<<" not in tests.seen["README.md"]
    assert b"on mine" in tests.seen["README.md"]


def test_files_that_one_of_both_does_not_have(
    workspace: Path, wheel: Path, built: Path, tests: Tests, command: Command
) -> None:
    texts = "lightning_template/engine/cli/commands/skeleton.py"
    line = '        "lightning_logs/.gitkeep": "",\n'
    other = '        "old/edited.txt": "1\\n",\n        "old/same.txt": "1\\n",\n'
    make_project(workspace, made_up(wheel, workspace, "0.0.8", {**EDITS, texts: (line, other)}))
    (workspace / "lightning_template-0.0.8-py3-none-any.whl").unlink()
    (workspace / "old" / "edited.txt").write_text("2\n")
    (workspace / ".ci" / "run").unlink()
    result = command("upgrade")
    assert result.status == 0, result.err
    files = contents_of(workspace)
    assert files["lightning_logs/.gitkeep"] == b""
    assert files["old/edited.txt"] == b"2\n"
    assert {"old/same.txt", ".ci/run"}.isdisjoint(files)
    assert set(result.out.splitlines()) >= {
        "added      lightning_logs/.gitkeep: +0 -0 lines",
        "deleted    old/same.txt: +0 -1 lines",
        "kept       old/edited.txt: yours differs; the new version has no such file",
        "left out   .ci/run: you deleted it; the new version changed it",
    }


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("outcome", "status", "message"),
    [
        (
            1,
            1,
            "error: the tests do not pass with the new version (exit status 1, see above); the project is as it was",
        ),
        (interrupt, 130, ""),
        (lambda: signal.raise_signal(signal.SIGTERM), 143, "stopped by SIGTERM"),
    ],
    ids=["failed", "interrupt", "sigterm"],
)
def test_otherwise_the_project_is_as_it_was(
    outcome: int | Callable[[], None], status: int, message: str, project: Path, command: Command, tests: Tests
) -> None:
    replace(project / "README.md", "on a package", "on mine")
    (project / "lightning_logs" / ".gitkeep").unlink()
    (project / "lightning_logs").rmdir()
    (project / "scripts" / "run").chmod(0o700)
    before = contents_of(project)
    if callable(outcome):
        tests.effect = outcome
    else:
        tests.status = outcome
    result = command("upgrade")
    assert (result.status, result.out) == (status, "")
    assert result.err == (f"lightning-template: {message}\n" if message else "")
    assert tests.seen != before
    assert contents_of(project) == before
    assert (project / "scripts" / "run").stat().st_mode & 0o777 == 0o700
    assert not (project / "lightning_logs").exists()


def test_a_project_without_tests_can_be_upgraded(project: Path, command: Command, tests: Tests) -> None:
    tests.status = 5  # pytest has collected none
    assert command("upgrade").status == 0


def test_the_same_version_again_changes_nothing(project: Path, command: Command, tests: Tests) -> None:
    assert command("upgrade").status == 0
    before = contents_of(project)
    tests.status = 1
    result = command("upgrade")
    assert (result.status, result.err) == (0, "")
    assert result.out == f"nothing to do: the project has this lightning-template, {__version__}, already\n"
    assert contents_of(project) == before


def test_another_wheel_of_the_same_version_is_taken(
    workspace: Path, wheel: Path, built: Path, tests: Tests, command: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_project(workspace, made_up(wheel, tmp_path_factory.mktemp("same"), __version__, EDITS))
    assert command("upgrade").status == 0
    assert [path.read_bytes() for path in (workspace / "vendor").iterdir()] == [built.read_bytes()]


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no project": (lambda folder: (folder / "pyproject.toml").unlink(), "no project here"),
    "another project": (lambda folder: (folder / "pyproject.toml").write_text("[tool]"), "no project here"),
    "no script": (lambda folder: (folder / "scripts" / "run").unlink(), "no scripts/run here"),
    "no wheel": (lambda folder: next((folder / "vendor").iterdir()).unlink(), "vendor/ must hold one wheel"),
    "a damaged wheel": (
        lambda folder: next((folder / "vendor").iterdir()).write_text("x"),
        "lightning_template-0.0.9-py3-none-any.whl is no wheel",
    ),
    "two wheels": (
        lambda folder: (folder / "vendor" / "lightning_template-2.0-py3-none-any.whl").touch(),
        "vendor/ must hold one wheel of lightning-template, the one in use: it has 2",
    ),
}


@pytest.mark.parametrize(("damage", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(damage: Callable[[Path], object], message: str, project: Path, command: Command) -> None:
    damage(project)
    before = contents_of(project)
    result = command("upgrade")
    assert (result.status, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert message in result.err
    assert contents_of(project) == before


def test_a_wheel_of_something_else(project: Path, wheel: Path, command: Command) -> None:
    (old,) = (project / "vendor").iterdir()
    broken = {"commands/skeleton.py": ("def skeleton(", "def other(")}
    old.write_bytes(made_up(wheel, project, "0.0.7", broken).read_bytes())
    result = command("upgrade")
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert "does not tell what it made: ImportError: cannot import name 'skeleton'" in result.err


def test_no_git_and_no_argument(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unrecognized arguments: now" in command("upgrade", "now").err
    replace(project / "README.md", "The first call makes", "Mine: the first call makes")
    before = contents_of(project)
    monkeypatch.setenv("PATH", "/nowhere")
    result = command("upgrade")
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert "git is not installed" in result.err
    assert contents_of(project) == before


def test_the_projects_tests_run_in_its_own_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make = workspace / "scripts" / "run"
    make.parent.mkdir()
    make.write_text('#!/bin/sh\necho "$PWD $1 ${PYTHONPATH-none} ${VIRTUAL_ENV-none} ${PATH%%:*}"\nexit 7\n')
    make.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("VIRTUAL_ENV", "/x")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/bin")
    assert upgrade.run_tests(Path()) == 7
    assert capfd.readouterr().out == f"{workspace} pytest none none /bin\n"


def test_the_contract_with_later_versions() -> None:
    """`upgrade` of any later version asks an old wheel's code for the texts by these names."""
    from lightning_template.engine.cli.commands.skeleton import Project

    assert Project._fields == ("name", "kind", "data")
    assert PROJECT.package == "flower_power"

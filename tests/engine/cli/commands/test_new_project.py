"""`new project` makes few files, which are complete, or says why not and leaves nothing."""

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from versions import contents_of, made_up

from conftest import ROOT, Command
from lightning_template.engine.cli.commands import new_project
from lightning_template.engine.cli.commands.skeleton import TOOLS

ARGS = ["new", "project", "flower-power", "mine"]
WHEEL = r"vendor/lightning_template-[\d.]+-py3-none-any\.whl"


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", "mine", *words], capture_output=True, text=True, check=True).stdout


def test_the_files_of_a_project(command: Command, built: Path) -> None:
    result = command(*ARGS)
    assert result.status == 0, result.err
    files = git("ls-files").splitlines()
    assert result.out.startswith(f"made       mine, {len(files)} files\n")
    assert {file for file in files if not re.fullmatch(WHEEL, file)} == {
        *(".ci/run", ".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml", "requirements.lock"),
        *("configs/flower_power.yaml", "lightning_logs/.gitkeep", "scripts/run", "src/flower_power/__init__.py"),
        *("src/flower_power/flower_power_data.py", "src/flower_power/flower_power_task.py"),
        "tests/test_flower_power.py",
    }
    assert len(files) <= 15
    assert f"owns {len(files)} files" in (ROOT / "docs" / "project.md").read_text()
    texts = [Path("mine", file).read_text() for file in files if not file.endswith((".lock", ".whl"))]
    assert sum(len(text.splitlines()) for text in texts) <= 400
    assert all(Path("mine", script).stat().st_mode & 0o111 for script in ("scripts/run", ".ci/run"))
    assert git("log", "--format=%s") == "Begin flower-power\n"
    assert git("status", "--short", "--ignored") == ""
    assert "class_path: flower_power.flower_power_task.FlowerPowerTask" in "".join(texts)
    commands = [line for line in Path("mine/README.md").read_text().splitlines() if line.startswith("./scripts/run")]
    assert commands == [line.removeprefix("then").strip() for line in result.out.splitlines()[2:]]


def test_the_lock_pins_all_and_names_no_place(command: Command, built: Path) -> None:
    assert command(*ARGS).status == 0
    lock = Path("mine/requirements.lock").read_text()
    (wheel,) = Path("mine/vendor").iterdir()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"vendor/{wheel.name} \\\n    --hash=sha256:{digest}\n" in lock
    lines = lock.splitlines()
    packages = {re.split(r"[\[=]", line)[0] for line in lines if re.match(r"\w", line)} - {f"vendor/{wheel.name} \\"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert packages >= {re.split(r"[\[>=]", need)[0] for need in project["dependencies"]} | {*TOOLS, "pluggy", "sympy"}
    assert packages.isdisjoint({"scikit-learn", "joblib", "playwright", "hatchling", "pre-commit", "nodeenv"})
    shapes = (
        r"[\w-]+(\[\w+\])?==[\w.]+( ; [\w .<>=!'()]+)? \\",
        rf"{WHEEL} \\",
        r"    --hash=sha256:[0-9a-f]{64}( \\)?",
    )
    assert [line for line in lines if not any(re.fullmatch(shape, line) for shape in shapes)] == []


@pytest.mark.parametrize("author", ["flower_power <flower_power@localhost>", "Ann <ann@example.org>"])
def test_a_wheel_that_git_would_ignore_is_committed(
    author: str, command: Command, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignored").write_text("*.whl\n")
    known = "name = Ann\nemail = ann@example.org\n" * author.startswith("Ann")
    rules = f"[core]\nexcludesFile = {tmp_path / 'ignored'}\n[user]\nuseConfigOnly = true\n{known}"
    (tmp_path / "gitconfig").write_text(rules)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    assert command(*ARGS).status == 0
    assert re.search(WHEEL, git("ls-files"))
    assert git("log", "--format=%an <%ae>") == f"{author}\n"
    assert git("branch", "--show-current") == "main\n"


def test_data_files_lie_outside_of_git(command: Command, built: Path) -> None:
    assert command(*ARGS, "--kind", "regression", "--data", "csv").status == 0
    assert Path("mine/data/flower_power.csv").is_file()
    assert git("status", "--short") == ""
    assert len(git("ls-files").splitlines()) <= 15


def test_a_new_task_goes_into_the_package(command: Command, built: Path) -> None:
    assert command(*ARGS).status == 0
    assert command("new", "task", "rose", "--path", "mine", "--data", "csv").status == 0
    assert {line.split()[1] for line in git("status", "--short", "-uall").splitlines()} == {
        *("src/flower_power/rose_task.py", "configs/rose.yaml", "tests/test_rose.py")
    }
    assert "class_path: flower_power.rose_task.RoseTask" in Path("mine/configs/rose.yaml").read_text()
    assert "parents[1]" in Path("mine/tests/test_rose.py").read_text()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('name = "roses"', "must have a name, a kind and data"),
        ('name = "roses"\nkind = "magic"\ndata = "csv"', "must have a name, a kind and data"),
        ('name = "1"\nkind = "custom"\ndata = "csv"', "a name must be of letters"),
        ("name", "cannot read pyproject.toml"),
        ("[tool]\nlightning-template = 1", "must have a name, a kind and data"),
    ],
)
def test_a_damaged_table_is_named(table: str, message: str, command: Command, workspace: Path) -> None:
    (workspace / "pyproject.toml").write_text(table if "[" in table else f"[tool.lightning-template]\n{table}\n")
    result = command("new", "task", "rose")
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert [path.name for path in workspace.iterdir()] == ["pyproject.toml"]


MISTAKES = {
    "a module's name": (["torch", "a"], "a package named torch would hide another one"),
    "a name of the standard library": (["antigravity", "a"], "a package named antigravity would hide another one"),
    "a name of Windows": (["winreg", "a"], "a package named winreg would hide another one"),
    "the tests' name": (["tests", "a"], "a package named tests would hide another one"),
    "no name": (["1st", "a"], "a name must be of letters, digits and underscores"),
    "a long name": (["a" * 25, "a"], "24 characters at most"),
    "a folder": (["flowers", "."], "is there already, and nothing is overwritten"),
    "a file": (["flowers", "something"], "is there already, and nothing is overwritten"),
    "no folder": (["flowers"], "the following arguments are required: folder"),
    "no pair": (["flowers", "a", "--kind", "pairs", "--data", "csv"], "take custom or tensors"),
}


@pytest.mark.parametrize(("args", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(args: list[str], message: str, command: Command) -> None:
    Path("something").touch()
    result = command("new", "project", *args)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert contents_of(Path()) == {"something": b""}


def test_without_git_nothing_is_made(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = command(*ARGS)
    assert (result.status, [*Path().iterdir()]) == (2, [])
    assert "git is not installed" in result.err


@pytest.mark.parametrize("is_there", [False, True])
def test_a_failure_leaves_nothing(is_there: bool, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> Path:
        (folder / "part").touch()
        raise ValueError("no wheel")

    monkeypatch.setattr(new_project, "build_wheel", fail)
    if is_there:
        Path("mine").mkdir()
    result = command(*ARGS)
    assert (result.status, result.err) == (2, "lightning-template: error: no wheel\n")
    assert [*Path().rglob("*")] == ([Path("mine")] if is_there else [])


def test_a_folder_of_the_same_name_hides_nothing(command: Command, built: Path) -> None:
    Path("flower_power").mkdir()
    sys.path.insert(0, "")
    assert command("new", "project", "flower-power", "flower_power").status == 0


# Unpacks a wheel as an installer does, and runs a command from it.
INSTALLED = """
import sys
sys.path = [path for path in sys.path if not path.endswith("src")]
sys.path.insert(0, sys.argv.pop(1))
from lightning_template.engine.cli.main import main
sys.exit(main())
"""


def from_installed(wheel: Path, site: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    if not site.exists():
        zipfile.ZipFile(wheel).extractall(site)
        (metadata,) = site.glob("*.dist-info")
        (metadata / "INSTALLER").write_text("test")
        (site / "lightning_template" / "x.pyc").write_text("")
        with (metadata / "RECORD").open("a") as record:
            record.write(f"{metadata.name}/INSTALLER,,\nlightning_template/x.pyc,,\n../bin/lightning-template,,\n")
    args = [sys.executable, "-I", "-c", INSTALLED, str(site), *words]
    return subprocess.run(args, capture_output=True, text=True, check=False)


def test_an_installed_package_makes_the_same_project(command: Command, built: Path, workspace: Path) -> None:
    assert command(*ARGS).status == 0
    done = from_installed(built, workspace / "site", "new", "project", "flower-power", "other")
    assert done.returncode == 0, done.stderr
    one, other = (
        {name: text for name, text in contents_of(workspace / folder).items() if not name.startswith(".git/")}
        for folder in ("mine", "other")
    )
    (name,) = (name for name in one if name.endswith(".whl"))
    members = []
    for wheels in (one, other):
        (workspace / "one.whl").write_bytes(wheels.pop(name))
        wheels.pop("requirements.lock")  # has the hash
        with zipfile.ZipFile(workspace / "one.whl") as archive:
            assert archive.testzip() is None
            members.append({name: archive.read(name) for name in archive.namelist() if "RECORD" not in name})
    assert members[0] == members[1]
    assert one == other


def test_a_changed_installation_makes_none(wheel: Path, workspace: Path) -> None:
    assert from_installed(wheel, workspace / "site", "--version").returncode == 0
    changed = workspace / "site" / "lightning_template" / "py.typed"
    for change in (lambda: changed.write_text("changed"), changed.unlink):
        change()
        done = from_installed(wheel, workspace / "site", "new", "project", "flower-power", "other")
        assert (done.returncode, (workspace / "other").exists()) == (2, False)
        assert f"{changed} was changed since lightning-template was installed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_files_of_nobody_make_none(wheel: Path, workspace: Path) -> None:
    other = made_up(wheel, workspace, "0.0.1", {})
    zipfile.ZipFile(other).extractall(workspace / "site")
    (metadata,) = (workspace / "site").glob("*.dist-info")
    metadata.rename(workspace / "elsewhere")
    done = from_installed(wheel, workspace / "site", "new", "project", "flower-power", "other")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "is neither a checkout nor an installed wheel" in done.stderr


def test_a_failed_build_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    result = command(*ARGS)
    assert (result.status, [*Path().iterdir()]) == (2, [])
    assert "hatchling cannot build a wheel of" in result.err

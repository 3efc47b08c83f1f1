"""What `new` writes is complete: it trains, passes its tests, lint and types, and has no trace of what it came from."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, Command
from lightning_template.engine.cli.commands import new_project
from lightning_template.engine.cli.commands.new_task import DATA, KINDS

PAIRS = [(kind, data) for kind in KINDS for data in DATA if data != "image-folder" or kind == "classification"]
SHORT = ["--trainer.max_epochs=1", "--callbacks.figures=null", "--callbacks.dashboard=null"]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("classification", "image-folder"),
        pytest.param("regression", "csv", marks=pytest.mark.slow),
        pytest.param("custom", "custom", marks=pytest.mark.slow),
    ],
)
def test_the_printed_command_trains(kind: str, data: str, command: Command) -> None:
    result = command("new", "task", "FlowerSpecies", "--kind", kind, "--data", data)
    assert result.status == 0, result.err
    assert files_in(Path()) >= {f"flower_species{end}" for end in ("_task.py", "_data.py", ".yaml")}
    (printed,) = re.findall(r"lightning-template (fit .*)", result.out)
    fitted = command(*printed.split(), *SHORT)
    assert fitted.status == 0, fitted.err
    assert Path("lightning_logs/flower_species/version_0/checkpoints/best.ckpt").is_file()


def test_files_go_into_the_rooms_of_a_project(command: Command) -> None:
    for room in ("tasks", "datamodules"):
        Path("src/flowers", room).mkdir(parents=True)
        Path("src/flowers", room, "__init__.py").touch()
    before = files_in(Path())
    result = command("new", "task", "rose", "--kind", "regression")
    assert result.status == 0
    assert files_in(Path()) - before == {
        *("src/flowers/tasks/rose.py", "src/flowers/datamodules/rose.py", "configs/rose.yaml"),
        "tests/tasks/test_rose.py",
    }
    assert "class_path: flowers.tasks.rose.RoseTask" in Path("configs/rose.yaml").read_text()
    assert "cd " not in result.out


def test_modules_of_a_package_are_named_by_it(command: Command) -> None:
    Path("package/inner").mkdir(parents=True)
    Path("package/__init__.py").touch()
    Path("package/inner/__init__.py").touch()
    assert command("new", "task", "rose", "--path", "package/inner").status == 0
    assert "class_path: package.inner.rose_task.RoseTask" in Path("package/inner/rose.yaml").read_text()


def test_imports_of_installed_packages_are_in_one_block_in_order(command: Command) -> None:
    assert command("new", "task", "rose").status == 0
    assert (
        "import torch\nfrom lightning_template.datamodules import InMemoryDataModule\nfrom torch import Tensor\n"
    ) in Path("rose_data.py").read_text()


def test_nothing_is_overwritten(command: Command) -> None:
    Path("rose.yaml").write_text("mine")
    result = command("new", "task", "rose")
    assert (result.status, files_in(Path())) == (2, {"rose.yaml"})
    assert "rose.yaml is there already, and nothing is overwritten" in result.err
    Path("data").mkdir()
    Path("data/tulip.csv").write_text("mine")
    assert command("new", "task", "tulip", "--data", "csv").status == 0
    assert Path("data/tulip.csv").read_text() == "mine"


MISTAKES = {
    "a name": (["task", "1st"], "a name must be of letters, digits and underscores"),
    "a word of Python's": (["task", "class"], "no word of Python's, got 'class'"),
    "a long name": (["task", "a" * 25], "24 characters at most"),
    "no name": (["task"], "the following arguments are required: name"),
    "a kind": (["task", "a", "--kind", "magic"], "invalid choice: 'magic'"),
    "no pair": (["task", "a", "--kind", "regression", "--data", "image-folder"], "it needs --kind classification"),
    "a folder": (["task", "a", "--path", "none"], "no folder none to write into"),
    "nothing": ([], "the following arguments are required: command"),
    "a project's name": (["project", "torch", "a"], "a package named torch would hide another one"),
    "a project's folder": (["project", "flowers", "."], "is there already, and nothing is overwritten"),
}


@pytest.mark.parametrize(("args", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(args: list[str], message: str, command: Command) -> None:
    Path("something").touch()
    result = command("new", *args)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert files_in(Path()) == {"something"}


def adapt_to_csv() -> None:
    """Bring a table of one's own, and say in the task's files what is in it."""
    rows = [f"{'abc'[index % 3]},{index * 7 % 11},{index / 4}" for index in range(60)]
    Path("data/rose.csv").write_text("\n".join(["species,petals,height", *rows]))
    data = Path("rose_data.py")
    data.write_text(data.read_text().replace('targets="target"', 'targets="species"'))
    config = Path("rose.yaml")
    text = config.read_text().replace("num_classes: 2", "num_classes: 3").replace("out_features: 2", "out_features: 3")
    config.write_text(text.replace("in_features: 4, hidden_features: [32]", "in_features: 2, hidden_features: [5, 5]"))


def adapt_to_images() -> None:
    for name, color in (("circle", "red"), ("square", "blue"), ("star", "green")):
        Path("data/rose", name).mkdir(exist_ok=True)
        for number in range(20):
            Image.new("RGB", (30 + number, 40), color).save(Path("data/rose", name, f"mine{number}.jpg"))
    config = Path("rose.yaml")
    text = config.read_text().replace("num_classes: 2", "num_classes: 3").replace("out_features: 2", "out_features: 3")
    config.write_text(text.replace("channels: [16, 32]", "channels: [8, 8, 8]"))


def adapt_to_arrays() -> None:
    inputs = np.random.default_rng(0).normal(size=(90, 3, 2)).astype(np.float32)
    np.savez("data/rose.npz", x=inputs, y=np.arange(90) % 4)
    data = Path("rose_data.py")
    data.write_text(data.read_text().replace("path=path, ", 'path=path, inputs="x", targets="y", '))
    config = Path("rose.yaml")
    text = config.read_text().replace("num_classes: 2", "num_classes: 4").replace("out_features: 2", "out_features: 4")
    config.write_text(text.replace("in_features: 4", "in_features: 6"))


ADAPTATIONS: dict[str, tuple[Callable[[], None], tuple[int, ...], int]] = {
    "csv": (adapt_to_csv, (2,), 3),
    "image-folder": (adapt_to_images, (3, 32, 32), 3),
    "tensors": (adapt_to_arrays, (3, 2), 4),
}


@pytest.fixture
def generated(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """Return a function that imports the test that was generated for a task named rose."""
    monkeypatch.syspath_prepend(Path())

    def load() -> ModuleType:
        importlib.invalidate_caches()
        for name in ("rose_task", "rose_data", "test_rose"):
            sys.modules.pop(name, None)
        return importlib.import_module("test_rose")

    yield load
    for name in ("rose_task", "rose_data", "test_rose"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ADAPTATIONS)
def test_the_generated_test_takes_the_users_data(
    kind: str, command: Command, generated: Callable[[], ModuleType]
) -> None:
    adapt, input_shape, num_classes = ADAPTATIONS[kind]
    assert command("new", "task", "rose", "--data", kind).status == 0
    adapt()
    module = generated()
    checks = {mark.id: mark.values[0] for mark in module.test_rose.pytestmark[0].args[1]}
    for name in ("batch_fits_task", "sets_are_disjoint"):
        checks[name]()
    data = module.make_datamodule()
    data.setup("fit")
    assert (data.input_shape, data.num_classes) == (input_shape, num_classes)
    assert module.make_task()(next(iter(data.train_dataloader()))[0]).shape == (16, num_classes)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ADAPTATIONS)
def test_the_generated_test_goes_on_passing(kind: str, command: Command, workspace: Path) -> None:
    assert command("new", "task", "rose", "--data", kind).status == 0
    ADAPTATIONS[kind][0]()
    before = files_in(Path())
    assert run_pytest().returncode == 0
    assert {file for file in files_in(Path()) - before if not file.endswith(".pyc")} == set()
    config = Path("rose.yaml")
    good = config.read_text()
    config.write_text(re.sub(r"out_features: \d", "out_features: 1", good))
    assert run_pytest().returncode == 1
    config.write_text(good)
    Path("data").rename("elsewhere")
    done = run_pytest()
    assert done.returncode == 0
    assert re.search(r"\d+ skipped", done.stdout)
    assert "passed" not in done.stdout


def run_pytest() -> "subprocess.CompletedProcess[str]":
    words = ["pytest", "--quiet", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "."]
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kind_passes_its_tests_lint_and_types(command: Command, workspace: Path) -> None:
    for kind, data in PAIRS:
        name = f"red_rose_{kind[:7]}_{data[:7]}".replace("-", "_")  # as long as names may be
        assert command("new", "task", name, "--kind", kind, "--data", data).status == 0
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    Path("ruff.toml").write_text(
        f"line-length = 120\nlint.select = {rules['select']}\nlint.ignore = {rules['ignore']}\n"
        'lint.pydocstyle.convention = "google"\nlint.per-file-ignores = {"test_*" = ["D"]}\n'
    )
    for check in (
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy", "--strict", "--config-file", "/dev/null"],
        ["pytest", "--quiet", "-p", "no:cacheprovider", "-n", "2", "-c", "/dev/null", "--rootdir", "."],
    ):
        done = subprocess.run([sys.executable, "-m", *check, "."], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def untracked() -> Iterator[Path]:
    """A file of the checkout that git does not track, nor ignore."""
    path = ROOT / f"untracked-{os.getpid()}.txt"
    path.touch()
    yield path
    path.unlink()


@pytest.fixture
def project(command: Command, workspace: Path, untracked: Path) -> Path:
    result = command("new", "project", "flower-power", "mine")
    assert result.status == 0, result.err
    assert not (workspace / "mine" / untracked.name).exists()
    assert "./scripts/run flower-power fit --config configs/fashion_mnist/cnn.yaml" in result.out
    return workspace / "mine"


def test_a_project_has_nothing_of_the_old_name(project: Path) -> None:
    files = files_in(project) - {file for file in files_in(project) if file.startswith(".git/")}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(files) == sum((ROOT / file).is_file() for file in set(tracked.splitlines()))
    assert {"src/flower_power/__main__.py", "README.md", "scripts/run", ".ci/run", "tests/conftest.py"} <= files
    for file in files:
        text = (project / file).read_bytes().lower()
        assert not re.search(rb"lightning[ _-]template", text), file
        assert "lightning_template" not in file
    assert "new project tulip-power ../tulips" in (project / "README.md").read_text()  # flower-power is there already
    assert (project / "scripts" / "run").stat().st_mode & 0o111
    git = ["git", "-C", str(project)]
    history = subprocess.run([*git, "log", "--format=%s"], capture_output=True, text=True, check=True).stdout
    assert history == "Begin Flower power\n"
    assert subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True).stdout == ""
    lint = [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", str(project)]
    assert subprocess.run(lint, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_project_trains_and_passes_its_tests(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(project / "src"))  # this environment instead of one of its own
    for words in (["flower_power", "fit", "--config", "configs/line/ols.yaml"], ["pytest", "--quiet"]):
        done = subprocess.run([sys.executable, "-m", *words], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "lightning_logs" / "line_ols" / "version_0" / "metrics.json").is_file()


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in place of this one, on a machine where git knows no user."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name, value in (("COUNT", "1"), ("KEY_0", "user.useConfigOnly"), ("VALUE_0", "true")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    root = workspace / "old"
    (root / "src/lightning_template").mkdir(parents=True)
    (root / "winter").mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "lightning-template"\n')
    (root / "src/lightning_template/code.py").write_text("import sys\nimport os\n\nLIGHTNING_TEMPLATE = 'ü'\n")
    (root / "winter/picture.png").write_bytes(b"\xff\xfe lightning_template")
    (root / "run").write_text("echo Lightning template, a flower\n")
    (root / "run").chmod(0o755)
    (root / "removed").touch()
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    (root / "removed").unlink()
    monkeypatch.setattr(new_project, "ROOT", root)
    return root


@pytest.mark.parametrize("author", ["red_rose <red_rose@localhost>", "Ann <ann@example.org>"])
def test_a_project_in_full(
    author: str, checkout: Path, workspace: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = workspace / "mine"
    if author.startswith("Ann"):
        (workspace / "gitconfig").write_text("[user]\nname = Ann\nemail = ann@example.org\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(workspace / "gitconfig"))
    else:
        target.mkdir()  # empty, so it may be there
    done = command("new", "project", "red-rose", "mine")
    assert done == (
        0,
        "made       mine, 4 files\n"
        "then       cd mine\n"
        "           ./scripts/run red-rose fit --config configs/fashion_mnist/cnn.yaml\n"
        "           ./scripts/run pytest\n",
        "",
    )
    texts = {
        "pyproject.toml": b'[project]\nname = "red-rose"\n',
        "src/red_rose/code.py": 'import os\nimport sys\n\nRED_ROSE = "ü"\n'.encode(),
        "winter/picture.png": b"\xff\xfe lightning_template",
        "run": b"echo Red rose, a flower\n",
        "CHANGELOG.md": b"# Changelog\n\n## 0.1.0 (unreleased)\n\n- Red rose begins.\n",
    }
    assert set(git(target, "ls-files").split()) == set(texts)
    assert {file: (target / file).read_bytes() for file in texts} == texts
    assert (target / "run").stat().st_mode & 0o777 == 0o755
    assert git(target, "log", "--format=%an <%ae> %s").strip() == f"{author} Begin Red rose"
    assert git(target, "branch", "--show-current") == "main\n"


@pytest.mark.parametrize(
    ("name", "folder", "before", "message"),
    [
        ("winreg", "mine", "", "a package named winreg would hide another one"),  # of Windows alone
        ("winter", "mine", "", "a package named winter would hide another one"),
        ("rose", "old/run", "", "run is there already"),
        ("rose", "mine", "rm pyproject.toml", "a project is made from a git checkout of this one, and "),
        ("rose", "mine", "git rm -rq --cached .", "it tracks none in "),
        ("rose", "mine", "rm -rf .git", "git ls-files failed in "),
    ],
)
def test_what_a_project_cannot_be_made_of(
    name: str, folder: str, before: str, message: str, checkout: Path, command: Command
) -> None:
    subprocess.run(["sh", "-c", before], cwd=checkout, check=True)
    done = command("new", "project", name, folder)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert message in done.err
    assert not Path("mine").exists()


def test_a_project_needs_git(checkout: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = command("new", "project", "rose", "mine")
    assert (done.status, "git is not installed" in done.err) == (2, True)

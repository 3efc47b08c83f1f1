"""What `new task` writes is complete: it trains, passes its tests, lint and types."""

import importlib
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
from lightning_template.engine.cli.commands.task_kinds import KINDS

PAIRS = [(kind, data) for kind, about in KINDS.items() for data in about.data]
FAST = [("classification", "image-folder"), ("multilabel", "csv")]
SHORT = ["--trainer.max_epochs=1", "--callbacks.figures=null", "--callbacks.dashboard=null"]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *FAST,
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS if pair not in FAST),
    ],
)
def test_the_printed_command_trains(kind: str, data: str, command: Command) -> None:
    name = f"rose_{kind.replace('-', '_')}"  # for each kind another, as classes are known by their names
    result = command("new", "task", "".join(map(str.capitalize, name.split("_"))), "--kind", kind, "--data", data)
    assert result.status == 0, result.err
    assert files_in(Path()) >= {f"{name}{end}" for end in ("_task.py", ".yaml")}
    (printed,) = re.findall(r"lightning-template (fit .*)", result.out)
    fitted = command(*printed.split(), *SHORT)
    assert fitted.status == 0, fitted.err
    assert Path(f"lightning_logs/{name}/version_0/checkpoints/best.ckpt").is_file()


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
    "no pair": (
        ["task", "a", "--kind", "multilabel", "--data", "image-folder"],
        "take custom, csv or tensors",
    ),
    "pairs of a table": (["task", "a", "--kind", "pairs", "--data", "csv"], "take custom or tensors"),
    "a folder": (["task", "a", "--path", "none"], "no folder none to write into"),
    "nothing": ([], "the following arguments are required: command"),
}


@pytest.mark.parametrize(("args", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(args: list[str], message: str, command: Command) -> None:
    Path("something").touch()
    result = command("new", *args)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert files_in(Path()) == {"something"}


def edit(file: str, *pairs: tuple[str, str]) -> None:
    text = Path(file).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    Path(file).write_text(text)


def adapt_to_csv() -> None:
    """Bring a table of one's own at another place, and say in the configuration what is in it."""
    rows = [f"{'abc'[index % 3]};{index * 7 % 11};{index / 4 or ''}" for index in range(60)]
    Path("data/mine.csv").write_text("\n".join(["species;petals;height", *rows]))
    edit("rose.yaml", ("data/rose.csv", "data/mine.csv"), ("targets: target", "targets: species\n    missing: median"))
    edit("rose.yaml", ("hidden_features: [32]", "hidden_features: [5, 5]"))


def adapt_to_images() -> None:
    for name, color in (("circle", "red"), ("square", "blue"), ("star", "green")):
        Path("data/rose", name).mkdir(exist_ok=True)
        for number in range(20):
            Image.new("RGB", (30 + number, 40), color).save(Path("data/rose", name, f"mine{number}.jpg"))
    edit("rose.yaml", ("channels: [16, 32]", "channels: [8, 8, 8]"))


def adapt_to_arrays() -> None:
    inputs = np.random.default_rng(0).normal(size=(90, 3, 2)).astype(np.float32)
    np.savez("data/rose.npz", x=inputs, y=np.array(["dog", "cat", "cow", "owl"])[np.arange(90) % 4])


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


def test_the_generated_test_finds_the_configurations(command: Command, generated: Callable[[], ModuleType]) -> None:
    for name in ("rose", "primrose"):
        assert command("new", "task", name).status == 0
    text = Path("rose.yaml").read_text()
    Path("rose.yaml").rename("renamed.yaml")
    Path("small.yaml").write_text(text.replace("[32]", "[7]"))
    Path("overlay.yaml").write_text("trainer: {max_epochs: 3}\n")
    module = generated()
    assert [file.name for file in module.CONFIGS] == ["renamed.yaml", "small.yaml"]
    assert sum(parameter.numel() for parameter in module.make_task().network.parameters()) == 4 * 32 + 32 + 32 * 2 + 2
    Path("renamed.yaml").unlink()
    Path("rose.yaml").write_text(text.replace("rose_task.RoseTask", "lightning_template.tasks.ClassificationTask"))
    Path("small.yaml").unlink()
    assert [file.name for file in generated().CONFIGS] == ["rose.yaml"]


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
    config.write_text(good.replace("init_args: {", "init_args: {out_features: 1, "))
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

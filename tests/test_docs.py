"""README and the pages of `docs/`: their commands run, and what they name, link to or count is there."""

import inspect
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from PIL import Image

from conftest import ROOT, Command
from lightning_template import callbacks
from lightning_template.callbacks import Executions
from lightning_template.datamodules import ImageFolderDataModule, InMemoryDataModule, TableDataModule
from lightning_template.engine.cli.commands.task_kinds import DATA, KINDS
from lightning_template.engine.cli.options import NAMED_CALLBACKS
from lightning_template.engine.files.image_files import MAX_PIXELS
from lightning_template.engine.libraries.lightning_trainer import KNOWN_VERSION
from lightning_template.engine.prediction.prediction_writer import NUM_SHOWN
from lightning_template.tasks import SupervisedTask
from lightning_template.testing.checks import CHECKS
from test_architecture import INSIDE, MAX_KIND_LINES, MAX_READ_LINES, READ, TOUCH_LIBRARIES

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
MAX_LINES = {"README.md": 200, "docs/architecture.md": 200, "docs/tasks.md": 320, "docs/data.md": 150}
MAX_WORDS = 25
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LAUNCHER = "./scripts/run "
OURS = f"{LAUNCHER}lightning-template "
RUN_ELSEWHERE = {
    f"{LAUNCHER}pytest": "this very run, and .ci/run's",
    f"{LAUNCHER}pytest -m slow": "likewise",
    f"{LAUNCHER}pytest tests/tasks/test_roses.py": "as in tests/engine/cli/commands/test_new_command.py",
    f"{LAUNCHER}tensorboard --logdir lightning_logs": "test_tensorboard_serves_the_logs",
    'eval "$(./scripts/run lightning-template --completion)"': "test_completion",
    f"{LAUNCHER}python scripts/scores.py": "tests/test_scores.py",
    f"{LAUNCHER}python examples/predict_onnx.py exported/model.onnx photos/snow.jpg --invert": "tests/engine/sharing/",
    f"{LAUNCHER}python scripts/reproduce.py": "tests/test_reproduce.py",
    f"{LAUNCHER}python scripts/screenshots.py lightning_logs docs": "tests/browser/",
    f"{LAUNCHER}pre-commit install": "changes the checkout; its hooks are commands of .ci/run",
    "./scripts/lock --upgrade": "needs a package index",
}
"""Commands that are not run here, and what runs them, or why nothing does."""
PROJECT = "docs/project.md"  # tests/engine/cli/commands/test_a_project.py
TWO_RANKS = "configs/hardware/ddp_cpu.yaml"  # tests/test_distributed.py
FAST = {"docs/quick-start.md", "docs/data.md", "docs/hardware.md"}
"""Pages whose commands take a second or two."""
FIRST = {
    "docs/configuration.md": ["fit --config configs/fashion_mnist/cnn.yaml"],
    "docs/prediction.md": ["fit --config configs/fashion_mnist/cnn.yaml", "fit --config configs/line/ols.yaml"],
    "docs/runs.md": ["fit --config configs/fashion_mnist/cnn.yaml", "fit --config configs/fashion_mnist/mlp.yaml"],
}
"""Commands of other pages that those of a page need."""


def blocks(page: str, *languages: str) -> list[str]:
    return [block for language, block in BLOCK.findall(PAGES[page]) if language in languages]


def commands(page: str) -> list[str]:
    return [line.split("  #")[0].rstrip() for block in blocks(page, "sh") for line in block.splitlines()]


def prose(page: str) -> str:
    return BLOCK.sub("", PAGES[page])


def make_project(folder: Path) -> None:
    """Make what the commands need of a checkout, to which `new` adds, and what a person has at hand."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "examples").symlink_to(ROOT / "examples")
    for room in ("tasks", "datamodules"):
        (folder / "src" / "mine" / room).mkdir(parents=True)
        (folder / "src" / "mine" / room / "__init__.py").touch()
    (folder / "photos").mkdir()
    Image.new("RGB", (60, 40), "white").save(folder / "photos" / "snow.jpg")
    (folder / "x.csv").write_text("x\n1\n")


def made_short(line: str, data_dir: Path) -> list[str]:
    """Return the words of a command, with options that make it train on tiny data for one epoch."""
    words = shlex.split(line.replace("../flowers", "elsewhere"))
    if words[0] not in ("fit", "test", "predict", "check", "show", "sweep") or "--help" in words or "--input" in words:
        return words
    if "fashion_mnist" in line:
        words += ["--data.data_dir", str(data_dir)]
    if "shapes" in line:
        words += ["--data.num_samples=400"]
    if words[0] == "sweep":
        words += ["--trials=2", "--seeds=1", "--trainer.max_epochs=1"]
    if words[0] == "fit":
        words += ["--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"]
        words += ["--callbacks.figures=null"] * ("dashboard.yaml" not in line)  # they take longer than these runs
    return words


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page not in FAST))
        for page in PAGES
        if OURS in PAGES[page] and page != PROJECT
    ],
)
def test_the_commands_of_a_page_run(
    page: str, command: Command, workspace: Path, fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(workspace)
    monkeypatch.syspath_prepend(workspace / "src")
    for block in blocks(page, "python", "yaml"):
        if match := re.match(r"# (\w+\.(?:py|yaml))\n", block):
            (workspace / match[1]).write_text(block)
    lines = [line.removeprefix(OURS) for line in commands(page) if line.startswith(OURS) and TWO_RANKS not in line]
    for line in FIRST.get(page, []) + lines:
        result = command(*made_short(line, fashion_mnist))
        assert result.status == 0, (line, result.err)
        made = re.findall(r"--(?:output|figure) (\S+)", line)
        made += ["lightning_logs/*/version_0/predictions.csv"] * (line.startswith("predict") and not made)
        assert all(list(workspace.glob(name)) for name in made), line
        if line.startswith("new project"):
            assert set(re.findall(r"(\d+ files)", result.out)) == set(re.findall(r"(\d+ files)", PAGES[page]))
    for block in blocks(page, "python"):
        if not block.startswith(("# ", ">>>")):
            exec(block, {})
    for file in workspace.glob("test_*.py"):
        words = ["pytest", "--quiet", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", file.name]
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_other_command_is_known() -> None:
    others = {line for page in PAGES.keys() - {PROJECT} for line in commands(page) if not line.startswith(OURS)}
    text = "\n".join(PAGES.values())
    written = {f"{LAUNCHER}pytest {name}" for name in re.findall(r"^# (test_\w+\.py)$", text, re.MULTILINE)}
    scripts = (f"{LAUNCHER}python scripts/benchmark_", f"{LAUNCHER}python scripts/mutate.py ")  # have their own tests
    assert {line for line in others if not line.startswith(scripts)} == RUN_ELSEWHERE.keys() | written
    assert f"\n{LAUNCHER}pytest\n" in (ROOT / ".ci" / "run").read_text()


def test_every_block_has_a_language_that_is_run() -> None:
    shown = [block for page in PAGES for block in blocks(page, "")]
    assert len(shown) == 4, "folders, and a job of SLURM"
    assert {language for page in PAGES for language, _ in BLOCK.findall(PAGES[page])} == {
        "", "mermaid", "python", "sh", "yaml"
    }  # fmt: skip


@pytest.mark.slow
def test_tensorboard_serves_the_logs(command: Command, workspace: Path) -> None:
    assert command("fit", "--config", ROOT / "configs/line/ols.yaml", "--trainer.max_epochs=1").status == 0
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", "lightning_logs", "--port", "0", "--load_fast=false"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        address = next(match[0] for line in server.stderr if (match := re.search(r"http://localhost:\d+/", line)))
        deadline = time.monotonic() + 30
        while "line_ols" not in (runs := urllib.request.urlopen(f"{address}data/runs", timeout=10).read().decode()):
            assert time.monotonic() < deadline, runs
            time.sleep(0.2)
    finally:
        server.kill()
        server.communicate()


def test_completion(workspace: Path, command: Command) -> None:
    (workspace / "one.yaml").touch()
    (workspace / "configs" / "with").mkdir(parents=True)
    (workspace / "configs" / "with" / "slow.yaml").touch()
    script = command("--completion").out
    for words, expected in {
        "lightning-template f": "fit",
        "lightning-template fit --trainer.max_e": "--trainer.max_epochs",
        "lightning-template fit --config o": "one.yaml",
        "lightning-template fit --config w": "with/slow",
        "lightning-template fit --with s": "slow",
        "lightning-template fit --w": "--with",
        "lightning-template test --ckpt_path b": "best",
    }.items():
        ask = f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _lightning_template; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), words


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_in_a_table(path: Path) -> None:
    is_overlay = path.parent.name in ("debug", "hardware")
    if path.parent.name == "with":
        assert f"| `--with {path.stem}` |" in PAGES["docs/recipes.md"]
        return
    name = path.relative_to(ROOT if is_overlay else ROOT / "configs")
    assert any(f"| `{name}` |" in text for text in PAGES.values())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short_and_so_are_its_sentences(page: str) -> None:
    assert len(PAGES[page].splitlines()) <= MAX_LINES.get(page, 120)
    assert [sentence for sentence in sentences(prose(page)) if len(sentence.split()) > MAX_WORDS] == []


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; cells of tables, list items and headings end one."""
    parts = re.split(r"\n\s*\n|^[#-] ?|^\d\. |\|", text, flags=re.MULTILINE)
    found = [sentence for part in parts for sentence in re.split(r"(?<=[.?!])\s", " ".join(part.split()))]
    return list(filter(None, found))


def test_long_sentences_are_seen() -> None:
    assert sentences("A short one. Two\nlines.\n\n| cell | and cell |\n- item\n") == [
        "A short one.", "Two lines.", "cell", "and cell", "item"
    ]  # fmt: skip


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target for target in links("README.md") if target.endswith(".md")}
    assert linked == PAGES.keys() - {"README.md"}


def links(page: str) -> list[str]:
    """Return the targets of a page's links into this project, relative to its root, without anchors."""
    targets = [target.split("#") for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page))]
    folder = (ROOT / page).parent
    return [str((folder / path).resolve().relative_to(ROOT)) if path else page for path, *_ in targets]


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    assert [target for target in links(page) if not (ROOT / target).exists()] == []
    anchors = re.findall(r"\]\((?!https?:)[^)\s#]*#([^)\s]+)\)", prose(page))
    with_anchor = re.findall(r"\]\((?!https?:)([^)\s#]*)#", prose(page))
    for path, anchor in zip(with_anchor, anchors, strict=True):
        target = str(((ROOT / page).parent / path).resolve().relative_to(ROOT)) if path else page
        assert anchor in {slug(title) for title in re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE)}


def slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_every_file_that_is_named_is_there() -> None:
    text = "\n".join(PAGES.values())
    names = set(re.findall(r"(?<![\w/{.-])(?:tests|scripts|src|docs|examples|configs|\.ci|\.github)/[\w./-]*\w", text))
    names |= {f"tests/**/{name}" for name in re.findall(r"`(test_\w+\.py)`", text)}
    names |= {f"src/lightning_template/{name}" for name in re.findall(r"^  (\w+(?:/|\.py)) ", text, re.MULTILINE)}
    names |= {
        f"src/lightning_template/{name}"
        for name in re.findall(r"`((?:tasks|networks|datamodules|transforms|testing|engine)/[\w./]*)`", text)
    }
    made = {"tests/tasks/test_roses.py", "configs/roses.yaml", "configs/flowers.yaml"}  # by `new`
    made |= {f"src/lightning_template/{name}/" for name in ("checkpoints", "version_N")}  # of runs and studies
    missing = {name for name in names - made if not list(ROOT.glob(name.rstrip("/")))}
    assert missing == set()
    assert len(names) > 40


def test_the_walks_go_through_what_there_is() -> None:
    steps = re.findall(r"^\d+\. (.*)$", PAGES["docs/architecture.md"], re.MULTILINE)
    for step in steps:
        files = [ROOT / "src" / "lightning_template" / name for name in re.findall(r"`([\w/]+\.py)`", step)]
        code = "".join(file.read_text() for file in files)
        assert code, step
        for name in re.findall(r"`(\w+)`", step):
            assert re.search(rf"\b{name}\b", code), f"{name} is not in the files of: {step}"
    assert len(steps) == 40


def test_every_room_is_in_the_house_plan() -> None:
    package, page = ROOT / "src" / "lightning_template", PAGES["docs/architecture.md"]
    rooms = {f"{path.parent.relative_to(package)}/" for path in package.glob("engine/*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `(engine/\w+/)` \|", page, re.MULTILINE))


def test_every_arrow_of_the_house_plan_is_allowed() -> None:
    """`name[room]` stands for a room of the engine where the read storey has one of this name, `name.py` for a file."""
    drawing = blocks("docs/architecture.md", "mermaid")[0]
    aliases = dict(re.findall(r"(\w+)\[(\w+)\]", drawing))

    def room(name: str) -> str:
        is_read = name.endswith(".py") or (ROOT / "src" / "lightning_template" / name).is_dir()
        return name.removesuffix(".py") if is_read else f"engine.{aliases.get(name, name)}"

    lines = [re.sub(r"\[\w+\]", "", line).strip() for line in drawing.splitlines() if "-->" in line]
    for chain in ([group.split(" & ") for group in line.split(" --> ")] for line in lines):
        for sources, targets in itertools.pairwise(chain):
            for source in map(room, sources):
                known = (READ | INSIDE)[source] | ({"engine.libraries"} if source in TOUCH_LIBRARIES else set())
                assert set(map(room, targets)) <= known, source
    assert len(lines) > 10


def test_defaults_are_those_of_the_code() -> None:
    rows = [row for text in PAGES.values() for row in re.findall(r"^\| `--([\w.]+)` \| (\S+) \|", text, re.MULTILINE)]
    for option, value in rows:
        *parents, argument = option.split(".")
        assert default(class_of(parents, argument), argument) == yaml.safe_load(value), option
    assert len(rows) > 15


def class_of(keys: list[str], argument: str) -> type:
    if keys[0] == "callbacks":
        made: type = getattr(callbacks, NAMED_CALLBACKS[keys[1]][0])
        return made
    data: list[type] = [InMemoryDataModule, TableDataModule, ImageFolderDataModule]
    classes: dict[str, list[type]] = {"model": [SupervisedTask], "data": data}
    return next(made for made in classes[keys[0]] if argument in inspect.signature(made).parameters)


def default(made: type, argument: str) -> object:
    return inspect.signature(made).parameters[argument].default


def test_counts_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("engine/loops", "testing"):
        monkeypatch.syspath_prepend(ROOT / "tests" / folder)
    mutants, resume = import_module("test_mutants").ALL, import_module("test_resume").CASES
    sound = import_module("sound").SOUND | import_module("sound_variants").VARIANTS
    text = " ".join(" ".join(PAGES.values()).split())

    def count(pattern: str) -> int:
        (number,) = set(re.findall(pattern, text))
        return int(number)

    assert count(r"(\d+) checks") == len(CHECKS)
    assert count(r"more than (\d+) tasks and data") < len(mutants)
    assert count(r"has (\d+) sound tasks") == len(sound)
    assert count(r"(\d+) kinds of run") <= len(resume)
    assert count(r"up to (\d+) steps") == default(Executions, "steps")
    assert count(r"first samples, at most (\d+)") == NUM_SHOWN
    assert count(r"more than (\d+) million pixels") == round(MAX_PIXELS / 1e6)
    assert count(r"an interval of (\d+) epochs") == 5
    num_faults = count(r"tries (\d+) faults")
    assert f"--sample {num_faults} " in (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"exact resume need Lightning (\d+\.\d+)\.", text) == [KNOWN_VERSION.removesuffix(".")]
    assert "Eleven experiments" in text
    assert len(re.findall(r"^\| `(?:fashion_mnist|line)/", PAGES["docs/quick-start.md"], re.MULTILINE)) == 11


def test_the_read_storey_is_as_short_as_the_readme_says() -> None:
    text = " ".join(PAGES["README.md"].split())
    assert f"at most {MAX_READ_LINES:,} lines" in text
    assert f"one file of at most {MAX_KIND_LINES}." in text


def test_tables_name_what_there_is() -> None:
    assert set(re.findall(r"`(\w+)`", section("docs/checks.md", "| group |", "\n\n"))) == set(CHECKS)
    assert set(re.findall(r"`([\w-]+)`", section("docs/tasks.md", "| `--kind` |", "\n"))) == {*KINDS}
    assert set(re.findall(r"`([\w-]+)`", section("docs/tasks.md", "| `--data` |", ":"))) == {*DATA}
    for kind, about in KINDS.items():
        _, _, _, data, *_ = section("docs/kinds.md", f"| `{kind}` |", "\n").split("|")
        assert (set(re.findall(r"`([\w-]+)`", data)) or {*DATA}) == set(about.data), kind
    rows = section("docs/data.md", "| `--data` |", "\n\n")
    assert set(re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE)) == {*DATA}


def section(page: str, start: str, end: str) -> str:
    return PAGES[page].split(start, 1)[1].split(end, 1)[0]


def test_the_messages_are_those_of_the_code() -> None:
    files = [*(ROOT / "src").rglob("*.py"), ROOT / "scripts" / "run"]
    code = "".join(re.sub(r'"\n\s*f?"', "", file.read_text()) for file in files)
    messages = re.findall(r"^\| `([^`]+)` \|", section("docs/troubleshooting.md", "| message |", "\n\n"), re.MULTILINE)
    assert [message for message in messages if message not in code] == []
    assert len(messages) > 15


def test_the_readme_has_rows_of_the_table_of_speed() -> None:
    rows = section("README.md", "| contender |", "\n\n").splitlines()
    assert set(rows) <= set(section("docs/speed.md", "| contender |", "\n\n").splitlines())
    assert len(rows) > 4


def test_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = section("docs/quick-start.md", "## Requirements", "\n## ")
    for name in ("torch", "lightning"):
        (bounds,) = (line.removeprefix(name) for line in project["dependencies"] if re.match(rf"{name}[<>=]", line))
        lowest = bounds.split(",")[0].removeprefix(">=")
        newer = f"a later {lowest.rpartition('.')[0]}" if ",<" in bounds else "newer"
        assert f"| {name} | {lowest} or {newer} |" in table
    python = f"{project['requires-python'].removeprefix('>=')} or newer"
    assert f"| Python | {python} |" in table
    assert f"Python {python}" in PAGES["README.md"]

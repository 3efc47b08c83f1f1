"""Every command of the README runs, in its order, in one folder, on tiny data."""

import inspect
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
from PIL import Image

from conftest import ROOT, Command
from lightning_template.callbacks import BestAndLast
from lightning_template.tasks import SupervisedTask
from lightning_template.testing.checks import CHECKS

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
LAUNCHER = "./scripts/run "


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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_lightning_template_commands(
    command: Command, workspace: Path, fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(workspace)
    monkeypatch.syspath_prepend(workspace / "src")
    for language, block in BLOCKS:
        if match := re.match(r"# (\w+\.(?:py|yaml))\n", block):
            assert language in ("python", "yaml")
            (workspace / match[1]).write_text(block)
    prefix = f"{LAUNCHER}lightning-template "
    ours = [line.removeprefix(prefix) for line in COMMANDS if line.startswith(prefix)]
    assert len(ours) > 10
    for line in ours:
        images = re.search("fashion_mnist|autoencoder", line) and not line.startswith("runs")
        small = ["--data.data_dir", str(fashion_mnist)] if images else []
        small += ["--data.num_samples=400"] if "shapes" in line else []
        short = ["--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"] if line.startswith("fit ") else []
        if short and "dashboard.yaml" not in line:
            short += ["--callbacks.figures=null"]  # they take longer than these runs
        words = shlex.split(line.replace("../flowers", "elsewhere"))
        result = command(*words, *([] if "--help" in line else [*small, *short]))
        assert result.status == 0, (line, result.err)
    assert Path("lightning_logs/quantile/version_0/predictions.csv").is_file()
    assert Path("lightning_logs/roses/version_0/checkpoints/best.ckpt").is_file()
    assert {"mine.csv", "mine.png", "y.parquet"} <= {path.name for path in Path().iterdir()}


def test_every_other_command_is_known() -> None:
    others = {line for line in COMMANDS if not line.startswith(f"{LAUNCHER}lightning-template")}
    others -= {line for line in others if line.startswith(f"{LAUNCHER}python scripts/benchmark_")}  # test_benchmarks.py
    assert others == {
        f"{LAUNCHER}pytest",  # this very run, and .ci/run's
        f"{LAUNCHER}pytest tests/tasks/test_roses.py",  # as in commands/test_new_command.py
        f"{LAUNCHER}tensorboard --logdir lightning_logs",  # below
        'eval "$(./scripts/run lightning-template --completion)"',  # below
    }
    assert f"\n{LAUNCHER}pytest\n" in (ROOT / ".ci" / "run").read_text()


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
    script = command("--completion").out
    for words, expected in {
        "lightning-template f": "fit",
        "lightning-template fit --trainer.max_e": "--trainer.max_epochs",
        "lightning-template fit --config o": "one.yaml",
        "lightning-template test --ckpt_path b": "best",
    }.items():
        ask = f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _lightning_template; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), words


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_is_in_the_table(path: Path) -> None:
    is_overlay = path.parent.name in ("debug", "hardware")
    assert is_overlay or f"`{path.parent.name}/{path.name}`" in README


def test_counts_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("engine/loops", "testing"):
        monkeypatch.syspath_prepend(ROOT / "tests" / folder)
    mutants, resume = import_module("mutants").MUTANTS, import_module("test_resume").CASES
    text = " ".join(README.split())
    assert int(re.findall(r"(\d+) checks", text)[0]) == len(CHECKS)
    assert int(re.findall(r"more than (\d+) tasks and data", text)[0]) < len(mutants)
    assert int(re.findall(r"(\d+) kinds of run", text)[0]) <= len(resume)
    assert re.findall(r"`steps_per_execution`, (\d+) if not given", text) == [
        str(default(SupervisedTask, "steps_per_execution"))
    ]
    assert "every ten minutes" in text
    assert default(BestAndLast, "every_minutes") == 10


def default(made: type, argument: str) -> object:
    return inspect.signature(made).parameters[argument].default


def test_every_file_that_is_named_is_there() -> None:
    names = set(re.findall(r"(?<![\w/{])(?:tests|scripts|src|docs|examples|configs)/[\w./]+\w", README))
    names |= {f"tests/**/{name}" for name in re.findall(r"`(test_\w+\.py)`", README)}
    names |= {f"src/lightning_template/{name}" for name in re.findall(r"^  (\w+(?:/|\.py)) ", README, re.MULTILINE)}
    made = {"tests/tasks/test_roses.py", "configs/roses.yaml"}  # by `new`
    made |= {"src/lightning_template/checkpoints/"}  # of a run's directory
    missing = {name for name in names - made if not list(ROOT.glob(name.rstrip("/")))}
    assert missing == set()
    assert len(names) > 30


def test_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = README.split("## Requirements", 1)[1]
    for name in ("torch", "lightning"):
        (bounds,) = (line.removeprefix(name) for line in project["dependencies"] if re.match(rf"{name}[<>=]", line))
        lowest = bounds.split(",")[0].removeprefix(">=")
        below = bounds.split(",<")[1:]
        assert f"{name} {lowest}" in section
        assert not below or f"{name} {lowest} or newer" not in section
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in section

"""Every command of the README runs, in its order, in one folder, on tiny data."""

import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import ROOT, Command

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
LAUNCHER = "./scripts/run "


def test_the_lightning_template_commands(command: Command, workspace: Path, fashion_mnist: Path) -> None:
    (workspace / "configs").symlink_to(ROOT / "configs")
    for language, block in BLOCKS:
        if match := re.match(r"# (\w+\.(?:py|yaml))\n", block):
            assert language in ("python", "yaml")
            (workspace / match[1]).write_text(block)
    prefix = f"{LAUNCHER}lightning-template "
    ours = [line.removeprefix(prefix) for line in COMMANDS if line.startswith(prefix)]
    assert len(ours) > 10
    for line in ours:
        small = (
            ["--data.data_dir", str(fashion_mnist)] if "fashion_mnist" in line and not line.startswith("runs") else []
        )
        short = ["--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"] if line.startswith("fit ") else []
        if short and "dashboard.yaml" not in line:
            short += ["--callbacks.figures=null"]  # they take longer than these runs
        result = command(*shlex.split(line), *([] if "--help" in line else [*small, *short]))
        assert result.status == 0, (line, result.err)
    assert Path("lightning_logs/quantile/version_0/predictions.csv").is_file()


def test_every_other_command_is_known() -> None:
    others = {line for line in COMMANDS if not line.startswith(f"{LAUNCHER}lightning-template")}
    others -= {line for line in others if line.startswith(f"{LAUNCHER}python scripts/benchmark_")}  # test_benchmarks.py
    assert others == {
        f"{LAUNCHER}pytest",  # this very run, and .ci/run's
        f"{LAUNCHER}tensorboard --logdir lightning_logs",  # below
        'eval "$(./scripts/run lightning-template --completion)"',  # below
    }
    assert f"\n{LAUNCHER}pytest\n" in (ROOT / ".ci" / "run").read_text()


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

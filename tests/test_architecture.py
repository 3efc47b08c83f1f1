"""Who may import whom, and what must answer without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "lightning_template"
ALLOWED = {
    "networks": {"torch"},
    "loops": {"torch", "torchmetrics", "lightning", "numpy", "lightning_template.errors", "lightning_template.signals"},
    "tasks": {"torch", "torchmetrics", "lightning", "lightning_template.loops"},
    "datamodules": {"torch", "torchvision", "lightning", "numpy", "filelock", "pyarrow", "PIL"}
    | {"lightning_template.files"},
    "testing": {"torch", "lightning", "numpy", "pytest", "cloudpickle"}
    | {f"lightning_template.{name}" for name in ("errors", "loops", "tasks")},
    "callbacks": {"torch", "torchmetrics", "lightning", "filelock", "matplotlib", "pyarrow", "tqdm", "yaml"}
    | {f"lightning_template.{name}" for name in ("changes", "digests", "errors", "files", "loops", "runs", "signals")},
    "files": set(),
    "digests": set(),
    "rehearsal": {"torch", "lightning", "numpy"}
    | {f"lightning_template.{name}" for name in ("callbacks", "datamodules", "errors", "loops", "tasks")},
    "records": {"lightning_template.digests"},
    "runs": {f"lightning_template.{name}" for name in ("digests", "files", "records")},
    "resolve": {"lightning_template.digests", "lightning_template.runs"},
    "construction": {"jsonargparse", "lightning", "lightning_template.errors"},
    "checkpoints": {"torch", "lightning", "lightning_template.digests", "lightning_template.files"},
    "changes": set(),
    "errors": set(),
    "signals": {"lightning_template.errors"},
    "slurm": {"lightning_template.resolve", "lightning_template.runs"},
    "streams": set(),
    "completion": set(),
    "values": set(),
    "yaml_text": {"yaml"},
    "command_line": {"yaml"}
    | {f"lightning_template.{name}" for name in ("digests", "errors", "resolve", "runs", "slurm", "yaml_text")},
    "commands": {"yaml", "numpy", "PIL", "rich"}
    | {f"lightning_template.{name}" for name in ("changes", "cli", "command_line", "errors", "runs", "testing")},
    "__main__": {
        f"lightning_template.{name}"
        for name in ("cli", "command_line", "commands", "completion", "errors", "signals", "streams")
    },
}
"""What each room may import besides itself, the standard library and the package's version."""


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                [node.module or ""]
                if node.module != "lightning_template"
                else (f"lightning_template.{alias.name}" for alias in node.names)
            )


def strangers(room: str, file: Path) -> list[str]:
    own = f"lightning_template.{room}"
    return [
        name
        for name in imports(file)
        if name.split(".")[0] not in sys.stdlib_module_names
        and name != "lightning_template.__version__"
        and not any(name == known or name.startswith(f"{known}.") for known in {own, *ALLOWED[room]})
    ]


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_follow_the_arrows(room: str) -> None:
    files = list((PACKAGE / room).glob("**/*.py")) or [PACKAGE / f"{room}.py"]
    assert files
    assert {file.name: names for file in files if (names := strangers(room, file))} == {}


def test_a_forbidden_import_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "mlp.py"
    file.write_text("def f():\n    from lightning_template import tasks\n    import numpy.linalg\n")
    assert strangers("networks", file) == ["lightning_template.tasks", "numpy.linalg"]


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["fit", "--help"],
        ["check", "--help"],
        ["new", "task", "rose", "--path", "missing"],
        ["--version"],
        ["fit", "--config", "missing.yaml"],
    ],
)
def test_these_answer_without_torch(args: list[str]) -> None:
    code = f"""
import sys
from lightning_template.__main__ import main
sys.argv[1:] = {args}
main()
sys.exit(any(name in sys.modules for name in ("torch", "lightning", "jsonargparse", "numpy")))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0

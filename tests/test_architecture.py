"""Who may import whom, and what must answer without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import lightning_template
from conftest import ROOT
from private_access import private_accesses

PACKAGE = ROOT / "src" / "lightning_template"
READ = {
    "networks": {"torch"},
    "losses": {"torch"},
    "optimizers": {"torch"},
    "schedules": {"engine.tasks"},
    "tasks": {"torch", "torchmetrics", "lightning", "engine.drawing", "engine.measures", "engine.tasks"},
    "transforms": {"torch"},
    "datamodules": {"torch", "lightning", "numpy", "transforms", "engine.batches", "engine.files"},
    "callbacks": {"engine.callbacks", "engine.dashboard", "engine.prediction"},
    "load": {"torch", "jsonargparse", "lightning", "engine.cli", "engine.prediction", "engine.process", "engine.runs"},
    "__main__": {"engine.cli"},
    "__init__": {
        "callbacks",
        "datamodules",
        "load",
        "losses",
        "networks",
        "optimizers",
        "schedules",
        "tasks",
        "testing",
        "transforms",
    },
}
"""What people read and extend, and what each room of it may know besides itself and the standard library."""
INSIDE = {
    "testing": {"torch", "lightning", "numpy", "pytest", "cloudpickle"}
    | {"engine.callbacks", "engine.loops", "engine.nests", "engine.process", "engine.tasks"},
    "engine.process": {"rich"},
    "engine.libraries": {"torch", "torchmetrics", "lightning", "jsonargparse"},
    "engine.loops": {"torch", "torchmetrics", "lightning", "numpy", "engine.nests", "engine.process"},
    "engine.nests": {"torch"},
    "engine.measures": {"torch", "torchmetrics", "engine.nests"},
    "engine.tasks": {"torch", "lightning", "engine.measures"},
    "engine.drawing": {"torch", "numpy", "matplotlib"},
    "engine.batches": {"torch", "numpy"},
    "engine.files": {"torch", "torchvision", "numpy", "filelock", "pyarrow", "PIL", "engine.batches", "engine.runs"},
    "engine.runs": {"torch", "lightning", "engine.process"},
    "engine.callbacks": {"torch", "torchmetrics", "lightning", "tqdm", "filelock", "yaml"}
    | {"engine.loops", "engine.process", "engine.runs"},
    "engine.dashboard": {"torch", "torchmetrics", "lightning", "matplotlib", "yaml", "engine.batches"}
    | {"engine.callbacks", "engine.drawing", "engine.loops", "engine.nests", "engine.process", "engine.runs"},
    "engine.prediction": {"torch", "lightning", "pyarrow"}
    | {"engine.batches", "engine.callbacks", "engine.dashboard", "engine.nests", "engine.runs"},
    "engine.rehearsal": {"torch", "lightning", "numpy", "tasks", "datamodules", "callbacks"}
    | {"engine.batches", "engine.callbacks", "engine.loops", "engine.nests", "engine.process"},
    "engine.sizes": {"torch", "lightning", "numpy", "filelock", "datamodules", "engine.batches", "engine.rehearsal"},
    "engine.sweep": {"torch", "lightning", "numpy", "matplotlib", "optuna", "filelock", "rich", "yaml"}
    | {"engine.callbacks", "engine.loops", "engine.process", "engine.runs"},
    "engine.cli": {"torch", "torchmetrics", "numpy", "lightning", "jsonargparse", "yaml", "rich", "PIL", "callbacks"}
    | {"testing", "engine.callbacks", "engine.loops", "engine.prediction", "engine.process", "engine.rehearsal"}
    | {"engine.runs", "engine.sizes", "engine.sweep", "engine.tasks"},
    "engine.sharing": {"torch", "lightning", "matplotlib", "tensorboard", "onnxruntime", "safetensors", "load", "tasks"}
    | {"engine.batches", "engine.callbacks", "engine.cli", "engine.dashboard", "engine.drawing", "engine.nests"}
    | {"engine.prediction", "engine.process", "engine.runs"},
    "engine.looking": {"torch", "lightning", "matplotlib", "callbacks", "engine.cli", "engine.dashboard"}
    | {"engine.drawing", "engine.nests", "engine.process", "engine.rehearsal", "engine.runs", "engine.tasks"},
    "engine.__init__": set(),
}
"""What nobody has to open; the same for its rooms."""
TOUCH_LIBRARIES = {"testing", "engine.callbacks", "engine.cli", "engine.dashboard", "engine.loops", "engine.measures"}
TOUCH_LIBRARIES |= {"engine.nests", "engine.rehearsal", "engine.tasks"}
"""Rooms that need private parts of other libraries, which lie in `engine.libraries`."""
KNOWN_VERSION_ONLY = {"engine/libraries/lightning_connectors.py", "engine/libraries/lightning_loops.py"}
KNOWN_VERSION_ONLY |= {"engine/loops/execution.py", "engine/loops/resumable.py"}
"""Files whose imports may fail where Lightning's version is unknown; others import them within a function."""
DOORLESS = {"load", "callbacks", "__main__"}
"""Files that may look past the door of a room: they are the doors of several rooms to the outside."""
FACE_OF_TESTING = ("testing/__init__.py", "testing/suite.py")
"""What people read of `testing`; its other files are inside."""
READY_KINDS = {"autoencoder", "multilabel", "pairs", "segmentation"}
READY_KINDS |= {"category_mlp", "sequence_labelling", "sequences", "shapes", "unet"}
READY_KINDS |= {"losses", "optimizers", "residual", "with_head"}
"""Files of the ready kinds of tasks, with their networks, losses and data: who needs one reads that one."""
MAX_READ_LINES, MAX_KIND_LINES = 1650, 120
MAX_FILE_LINES, MAX_FUNCTION_LINES = 250, 40
FILES = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == "engine" else parts[:1])


def imports(file: Path) -> Iterator[str]:
    """Yield what a file imports; modules of the package by their names in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("lightning_template.") for name in names)


def strangers(room: str, file: Path) -> list[str]:
    known = {room, "__version__", *(READ | INSIDE)[room]} | ({"engine.libraries"} if room in TOUCH_LIBRARIES else set())
    return [
        name
        for name in imports(file)
        if name.split(".")[0] not in sys.stdlib_module_names and known.isdisjoint({name.split(".")[0], room_of(name)})
    ]


@pytest.mark.parametrize("file", FILES)
def test_imports_follow_the_arrows(file: str) -> None:
    room = room_of(file.removesuffix(".py").replace("/", "."))
    assert room in READ | INSIDE
    assert strangers(room, PACKAGE / file) == []
    if room in READ.keys() - DOORLESS:  # who reads it shall not have to look behind the door of an engine's room
        inner = [name for name in imports(PACKAGE / file) if name.startswith("engine.") and name.count(".") > 2]
        assert inner == []


def oversized(file: Path) -> list[str]:
    """Return what of a file is too long to be read at a glance: the file itself, or functions with their docstrings."""
    text = file.read_text()
    found = [file.name] if len(text.splitlines()) > MAX_FILE_LINES else []
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found + [
        function.name
        for function in functions
        if function.end_lineno and function.end_lineno - function.lineno >= MAX_FUNCTION_LINES
    ]


@pytest.mark.parametrize("file", FILES)
def test_files_and_functions_are_short(file: str) -> None:
    assert oversized(PACKAGE / file) == []


def test_what_people_read_is_short() -> None:
    read = [file for file in FILES if not file.startswith(("engine/", "testing/")) or file in FACE_OF_TESTING]
    assert set(FACE_OF_TESTING) < set(read)
    lengths: dict[str, list[int]] = {Path(file).stem: [] for file in read}
    for file in read:
        lengths[Path(file).stem].append(len((PACKAGE / file).read_text().splitlines()))
    del lengths["__init__"]  # lists of names
    kinds = {name: lengths.pop(name) for name in READY_KINDS & lengths.keys()}
    assert sum(map(sum, lengths.values())) <= MAX_READ_LINES
    assert {name for name, lines in kinds.items() if max(lines) > MAX_KIND_LINES} == set()


def test_a_long_function_or_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    body = "    x = 1\n"
    file.write_text("def short():\n" + body * 39 + "async def long():\n" + body * 40 + "\n" * 169)
    assert oversized(file) == ["long"]
    file.write_text("class A:\n    def long(self):\n" + f"    {body}" * 40 + "\n" * 209)
    assert oversized(file) == ["long.py", "long"]


def module_of(file: str) -> str:
    return f"lightning_template.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("engine/libraries/")])
def test_private_parts_of_libraries_lie_behind_their_own_room(file: str) -> None:
    assert private_accesses(PACKAGE / file, module_of(file)) == []


@pytest.mark.parametrize("file", sorted({*FILES} - KNOWN_VERSION_ONLY))
def test_what_an_unknown_lightning_may_lack_is_not_imported_with_the_rest(file: str) -> None:
    at_import = [node for node in ast.parse((PACKAGE / file).read_text()).body if isinstance(node, ast.ImportFrom)]
    modules = {f"{node.module}".removeprefix("lightning_template.").replace(".", "/") + ".py" for node in at_import}
    assert modules.isdisjoint(KNOWN_VERSION_ONLY)


def test_a_private_access_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "lightning_template_accesses.py"
    file.write_text(
        "import os\n"
        "from torch import nn\nfrom torch.utils._pytree import tree_map\nimport torch._dynamo\n"
        "class Mine(nn.Module):\n"
        "    _mine = 1\n"
        "    def _apply(self, fn): return super()._apply(fn)\n"
        "    def forward(self, x):\n"
        "        self._mine, self._own, self._buffers['x'] = x, self._modules, getattr(x, '_base')\n"
        "        self._backward_hooks = x.grad_fn._saved_self\n"
        "        return x.state['_step'], vars(x).pop('_x', '_y'), self._own\n"
        "class Child(Mine):\n"
        "    def last(self): return self._mine, self._forward_hooks, os._exit, self.__class__\n"
    )
    assert private_accesses(file, file.stem) == [
        "Child._forward_hooks",
        "Mine._apply",
        "Mine._backward_hooks",
        "Mine._buffers",
        "Mine._modules",
        "getattr(x, '_base')",
        "torch._dynamo",
        "torch.utils._pytree.tree_map",
        "vars(x).pop('_x', '_y')",
        "x.grad_fn._saved_self",
        "x.state['_step']",
    ]
    del sys.modules[file.stem]


def test_a_forbidden_import_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "mlp.py"
    file.write_text(
        "def f():\n    from lightning_template import tasks\n    import numpy.linalg\n"
        "    from lightning_template.engine.loops import execution\n    import torch.nn, os.path\n"
    )
    assert strangers("networks", file) == ["tasks", "numpy.linalg", "engine.loops.execution"]


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["fit", "--help"],
        ["check", "--help"],
        ["export", "--help"],
        ["export", "missing"],
        ["find-lr", "--help"],
        ["profile", "--help"],
        ["show", "--help"],
        ["show", "--config", "missing.yaml"],
        ["new", "--help"],
        ["sweep", "--help"],
        ["sweep", "--config", "missing.yaml"],
        ["new", "task", "rose", "--path", "missing"],
        ["new", "project", "torch", "missing"],
        ["upgrade", "--help"],
        ["upgrade"],
        ["--version"],
        ["fit", "--config", "missing.yaml"],
    ],
)
def test_these_answer_without_torch(args: list[str]) -> None:
    code = f"""
import sys
from lightning_template.engine.cli.main import main
sys.argv[1:] = {args}
main()
sys.exit(any(name in sys.modules for name in ("torch", "lightning", "jsonargparse", "numpy")))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("room", sorted(READ["__init__"]))
def test_the_package_has_the_public_names_of_each_room(room: str) -> None:
    """A new task, network or datamodule has its name in `_ROOMS` of `lightning_template/__init__.py` too."""
    module = import_module(f"lightning_template.{room}")
    assert set(lightning_template._ROOMS[room].split()) == set(module.__all__)
    assert all(getattr(lightning_template, name) is getattr(module, name) for name in module.__all__)
    assert {room, *module.__all__} <= set(dir(lightning_template))
    stars = [name for name in imports(PACKAGE / "__init__.py") if name == f"{room}.*"]
    assert len(stars) == 1  # what type checkers see


def test_a_name_that_is_not_there_is_an_error() -> None:
    assert not hasattr(lightning_template, "ClassificationTusk")
    with pytest.raises(ImportError, match="cannot import name 'ClassificationTusk' from 'lightning_template'"):
        from lightning_template import ClassificationTusk  # type: ignore[attr-defined]  # noqa: F401


def test_names_are_there_before_torch_is_imported() -> None:
    code = """
import sys, lightning_template
names = dir(lightning_template)
assert {"ClassificationTask", "load_run", "tasks", "__version__"} <= set(names)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

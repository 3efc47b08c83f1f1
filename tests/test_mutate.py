"""scripts/mutate.py on a made-up package, and the faults that it makes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from mutation import run_script, tests_of_lines
from mutation.faults import faults_of

SOURCES = {
    "src/lightning_template/__init__.py": "",
    "src/lightning_template/room/seen.py": "def largest(a: int, b: int) -> int:\n    return max(a, b)\n",
    "src/lightning_template/room/unseen.py": "def is_small(a: int) -> bool:\n    return a < 9\n",
    "src/lightning_template/hung.py": "def down(n: int) -> int:\n    while n > 0:\n        n -= 1\n    return n\n",
    "tests/test_all.py": """
import subprocess, sys
from lightning_template import hung
from lightning_template.room import seen, unseen

def test_largest():
    assert seen.largest(2, 3) == 3

def test_in_another_process():
    code = "from lightning_template.room.seen import largest; print(largest(1, 2))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"2\\n"

def test_is_small():
    assert unseen.is_small(3)
    assert not unseen.is_small(30)

def test_down():
    assert hung.down(5) == 0

def test_that_fails_without_a_fault():
    assert False
""",
    "pyproject.toml": "[tool.pytest.ini_options]\n",
}
ALONE = "import sys; from mutation import forks; forks.HEAVY.clear(); import mutate; sys.exit(mutate.main())"


def mutate(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ALONE, "--root", str(project), *args],
        cwd=project,
        env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": os.environ["PATH"], "HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_faults_that_are_seen_that_are_not_and_that_hang(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    done = mutate(tmp_path, "src", "--timeout", "3", "--floor", "room=34", "--floor", "hung=100")
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert "left out, because it fails or is skipped here: tests/test_all.py::test_that_fails_without_a_fault" in lines
    unseen = "src/lightning_template/room/unseen.py:2"
    assert {line for line in lines if line.startswith("not seen")} == {
        f"not seen: {unseen}: a comparison is wrong: a < 9 -> (a <= 9)",
        f"not seen: {unseen}: off by one: 9 -> 10",
    }
    assert "hung, so seen: src/lightning_template/hung.py:3: a statement is forgotten: n -= 1 -> pass" in lines
    rooms = {line.split()[0]: line.split()[1:4] for line in lines[-3:]}
    assert rooms["room"] == ["1", "of", "3"]
    assert rooms["hung"][0] == rooms["hung"][2]
    assert "floor 34 %" in lines[-2]

    again = mutate(tmp_path, "src/lightning_template/room/seen.py", "--floor", "100")
    assert again.returncode == 0
    assert not (tmp_path / "src" / "lightning_template" / "room" / "__pycache__").exists(), "only the copy is run"


def wrong(source: str) -> set[str]:
    return {fault.apply(source) for fault in faults_of("f.py", source)}


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("x = a < b and c", {"x = (a <= b) and c", "x = (a < b or c)"}),
        ("x[a:-1]", {"x[a + 1:-1]", "x[a:-1 - 1]", "x[a:0]"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = f(a, b)", {"x = f(b, a)"}),
        ("x = close(a, b)", set()),
        ("seed_all(0)", {"pass"}),
        ("seed_all(a + 1)", {"pass", "seed_all((a - 1))", "seed_all(a + 2)"}),
        ("self.a = b.clone()", {"pass", "self.a = b"}),
        ("f(a=True, encoding='utf-8')", {"pass", "f(a=False, encoding='utf-8')", "f(encoding='utf-8')"}),
        ("if c: raise E('never 1 here')", {"if (not (c)): raise E('never 1 here')", "if c: pass"}),
        (
            "@no_grad()\ndef f(a: 'x' = 1): return a",
            {"\ndef f(a: 'x' = 1): return a", "@no_grad()\ndef f(a: 'x' = 2): return a"},
        ),
        ("x = [y for y in z if y]", {"x = [y for y in z if True]"}),
        ("try: f\nexcept E: g", {"try: f\nexcept (): g"}),
        ('"""Doc 1."""\nassert a == 1\nwarn(f"{a + 1}")\nx: A[0]\nimport b', set()),
    ],
)
def test_faults(source: str, faulty: set[str]) -> None:
    assert wrong(source) == faulty


def test_each_fault_in_the_project_compiles_and_differs() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        source = path.read_text()
        for fault in faults_of(path.name, source)[::50]:  # all of them take seconds
            faulty = fault.apply(source)
            assert faulty != source
            ast.parse(faulty)


def test_each_listed_fault_of_the_run_script_has_its_place() -> None:
    assert len(run_script.faults_of((ROOT / run_script.PATH).read_text())) == len(run_script.FAULTS)


def test_a_line_that_runs_at_import_has_all_tests_of_its_file(tmp_path: Path) -> None:
    path, source = "src/lightning_template/a.py", "LARGEST = 3\n\ndef largest() -> int:\n    return max(LARGEST, 2)\n"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    tests = tests_of_lines.TestsOfLines(tmp_path, "src/lightning_template", cap=40)
    measured = {"imports": {"seconds": 1.0, "lines": {path: [1, 3]}}, "calls": {"seconds": 0.5, "lines": {path: [4]}}}
    other = {"other": {"seconds": 0.1, "lines": {}}}
    tests.known = {
        "texts": {"now": source},
        "files": {"tests/test_b.py": {"versions": {path: "now"}, "tests": {**measured, **other}}},
    }
    chosen = {fault.right: tests.of(fault) for fault in faults_of(path, source)}
    assert chosen["3"] == {"calls": 0.5, "imports": 1.0}
    assert chosen["max"] == {"calls": 0.5}

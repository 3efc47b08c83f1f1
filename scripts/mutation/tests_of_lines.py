"""The tests that execute a line, and the seconds of each: measured once, kept in `.mutation_cache`.

A test file is measured again when it changes, or what it shares with others. Where a source changed since, its lines
are found by comparing it with the text that was measured; what is new has the tests of the file around it.
"""

import ast
import difflib
import hashlib
import json
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import coverage
import pytest

from .faults import Fault
from .forks import Copy, run_all

SECONDS_FOR_A_FILE = 900.0


class LinesOfEachTest:
    """A plugin for pytest: writes seconds and lines of each test that passes."""

    def __init__(self, tree: Path, package: str, output: Path) -> None:
        self.tree, self.output = tree, output
        self.coverage = coverage.Coverage(data_file=None, config_file=False, source=[str(tree / package)])
        self.seconds: dict[str, float] = {}  # of the processor, which do not depend on what else it does
        self.failed: set[str] = set()

    def pytest_sessionstart(self) -> None:
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        before = sum(os.times()[:4])
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = sum(os.times()[:4]) - before

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file whose tests execute nothing of the package
            data = self.coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = defaultdict(dict)
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                for test in contexts:
                    lines[test].setdefault(str(Path(file).relative_to(self.tree)), []).append(line)
        tests = {
            test: {"seconds": round(seconds, 3), "lines": lines[test]}
            for test, seconds in self.seconds.items()
            if test not in self.failed
        }
        self.output.write_text(json.dumps({"tests": tests, "failed": sorted(self.failed)}))


class TestsOfLines:
    """What the tests execute.

    Args:
        root: Folder of the project.
        package: Folder of the sources, relative to it.
        cap: Seconds of tests, as measured, that are run for one fault at most.
    """

    def __init__(self, root: Path, package: str, cap: float) -> None:
        self.root, self.package, self.cap = root, package, cap
        self.file = root / ".mutation_cache" / "tests_of_lines.json"
        self.known: dict[str, Any] = {"texts": {}, "files": {}}
        if self.file.exists():
            self.known = json.loads(self.file.read_text())

    def measure(self, copies: list[Copy], only: str | None = None) -> None:
        """Measure the test files that are new or changed, or one of them."""
        keys = self._keys()
        sources = {
            str(path.relative_to(self.root)): path.read_text() for path in (self.root / self.package).rglob("*.py")
        }
        versions = {path: _digest(text) for path, text in sources.items()}
        self.known["files"] = {file: known for file, known in self.known["files"].items() if file in keys}
        jobs = [file for file, key in keys.items() if self.known["files"].get(file, {}).get("key") != key]
        jobs = [file for file in jobs if only in (file, None)]
        jobs.sort(key=lambda file: (self.root / file).stat().st_size, reverse=True)  # the long ones first
        for copy, file, result in run_all(copies, iter(jobs), self._start):
            output = copy.scratch / "measured.json"
            if result in {"hung", "broken"}:
                raise SystemExit(f"{file} cannot be measured:\n{(copy.scratch / 'output').read_text()[-3000:]}")
            measured = json.loads(output.read_text())
            for test in measured["failed"]:
                print(f"left out, because it fails or is skipped here: {test}", flush=True)
            self.known["files"][file] = {"key": keys[file], "versions": versions, **measured}
            self.known["texts"].update({versions[path]: text for path, text in sources.items()})
            self._save()

    def _save(self) -> None:
        used = {version for known in self.known["files"].values() for version in known["versions"].values()}
        self.known["texts"] = {version: text for version, text in self.known["texts"].items() if version in used}
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.known))
        new.replace(self.file)

    def _start(self, copy: Copy, file: str) -> None:
        copy.start(
            [file],
            LinesOfEachTest(copy.tree, self.package, copy.scratch / "measured.json"),
            SECONDS_FOR_A_FILE,
        )

    def _keys(self) -> dict[str, str]:
        """Return each file with tests, and a digest of what decides whether it is measured again."""
        folders = [
            folder for name in ("tests", "examples", "docs", self.package) if (folder := self.root / name).is_dir()
        ]
        texts = {
            str(path.relative_to(self.root)): path.read_text()
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.suffix in {".py", ".md"} and "__pycache__" not in path.parts
        }
        tests = {
            path for path, text in texts.items() if Path(path).name.startswith("test_") or _has_doctest(path, text)
        }
        keys = {}
        for path in tests:
            words = {*re.findall(r"\w+", texts[path])} - {"conftest"}  # which all share, and which changes little
            helpers = [
                text for other, text in texts.items() if other.startswith("tests/") and Path(other).stem in words
            ]
            keys[path] = _digest(texts[path] + "".join(helpers))
        return keys

    def of(self, fault: Fault) -> dict[str, float]:
        """Return the tests that may see a fault, the fastest first, and the seconds of each."""
        first, last = fault.lines
        near: dict[str, float] = {}
        around: dict[str, float] = {}
        others: dict[str, float] = {}  # of a new file, whose tests are perhaps older
        for file, known in self.known["files"].items():
            lines = self._lines_now(known["versions"].get(fault.path, ""), fault.path)
            mirrored = Path(file).stem.startswith(f"test_{Path(fault.path).stem}")
            for test, measured in known["tests"].items():
                executed = {lines.get(line, 0) for line in measured["lines"].get(fault.path, ())}
                if any(first <= line <= last for line in executed):
                    near[test] = measured["seconds"]
                elif executed or mirrored:
                    around[test] = measured["seconds"]
                others[test] = measured["seconds"]
        if _runs_at_import(self.root / fault.path, first):  # in whichever test imports it; others use it as well
            near = around | near
        room = Path("tests", *Path(fault.path).relative_to(self.package).parts[:-1])
        return next(
            (self._fastest(tests, f"{fault.path}::", f"{room}/") for tests in (near, around, others) if tests), {}
        )

    def in_file(self, file: str) -> dict[str, float]:
        """Return the tests of a file, the fastest first, and the seconds of each."""
        return self._fastest(
            {test: known["seconds"] for test, known in self.known["files"][file]["tests"].items()}, file
        )

    def _fastest(self, tests: dict[str, float], *first: str) -> dict[str, float]:
        """Return as many tests as the cap allows, in the order of their seconds: those that begin so before others."""
        total = 0.0
        chosen: dict[str, float] = {}
        for test, seconds in sorted(
            tests.items(), key=lambda pair: (*(not pair[0].startswith(start) for start in first), pair[1])
        ):
            total += seconds
            if total <= self.cap or not chosen:
                chosen[test] = seconds
        return dict(sorted(chosen.items(), key=lambda pair: pair[1]))

    @cache  # noqa: B019 - lives as long as the script
    def _lines_now(self, version: str, path: str) -> dict[int, int]:
        """Return for each line of the measured text the one that it is now."""
        then = self.known["texts"].get(version, "").splitlines()
        now = (self.root / path).read_text().splitlines()
        if then == now:
            return {line: line for line in range(1, len(now) + 1)}
        blocks = difflib.SequenceMatcher(None, then, now, autojunk=False).get_matching_blocks()
        return {a + offset + 1: b + offset + 1 for a, b, size in blocks for offset in range(size)}


def _runs_at_import(path: Path, line: int) -> bool:
    """Tell whether a line lies in no function."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return not any(node.body[0].lineno <= line <= (node.end_lineno or 0) for node in functions)


def _has_doctest(path: str, text: str) -> bool:
    return ">>> " in text and not path.startswith("tests/")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

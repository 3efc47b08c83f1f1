"""Deliberate faults, one at a time, and which of them the fast tests see.

    scripts/run python scripts/mutate.py src/lightning_template/tasks --sample 40
    scripts/run python scripts/mutate.py --since main~1
    scripts/run python scripts/mutate.py --sample 60 --floor 95 --floor callbacks=90

Each fault is put into a private copy of the project, in which the tests that execute its line are run, the fastest
first, until one fails or hangs. The faults are in `mutation/faults.py` and `mutation/run_script.py`. The first call
measures which test executes which line (minutes), later ones what changed.

Own code, because the known tools do not serve here. mutmut 3 replaces each function by a trampoline with all of its
variants: jsonargparse, which reads signatures and sources, finds no parameters, and what is pickled has another name.
cosmic-ray starts a process for each fault, of which torch and Lightning take 10 to 20 seconds. This one imports them
once and forks, which takes a second.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from mutation import run_script
from mutation.faults import Fault, faults_of
from mutation.forks import Copy, import_heavy, run_all
from mutation.tests_of_lines import TestsOfLines

PACKAGE = "src/lightning_template"
NUM_COPIES = 2


class Chosen:
    """A plugin for pytest: runs the chosen tests alone, in the order chosen."""

    def __init__(self, tests: dict[str, float]) -> None:
        self.places = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.places), key=lambda item: self.places[item.nodeid]
        )


def room_of(path: str) -> str:
    """Return the name under which a file is counted: its folder in the package, or its own."""
    inside = Path(path).relative_to(PACKAGE).parts if path.startswith(PACKAGE) else (path,)
    return inside[inside[0] == "engine"].removesuffix(".py")


def all_faults(root: Path, paths: list[str]) -> list[Fault]:
    """Return the faults in the files below the paths, which are relative to the project."""
    faults = []
    for file in [*(str(path.relative_to(root)) for path in sorted((root / PACKAGE).rglob("*.py"))), run_script.PATH]:
        if any(file == path or file.startswith(f"{path}/") for path in paths):
            source = (root / file).read_text()
            faults += run_script.faults_of(source) if file == run_script.PATH else faults_of(file, source)
    return faults


def changed_lines(root: Path, revision: str) -> dict[str, set[int]]:
    """Return the lines of each file that are not as they were at a revision."""
    diff = ["git", "diff", "--unified=0", "--no-color", "--relative", revision, "--", PACKAGE, run_script.PATH]
    lines: dict[str, set[int]] = defaultdict(set)
    path = ""
    for line in subprocess.run(diff, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        elif line.startswith("@@"):
            start, _, count = line.split()[2].removeprefix("+").partition(",")
            lines[path] |= set(range(int(start), int(start) + int(count or 1)))
    return lines


def sample_of(faults: list[Fault], number: int, seed: int) -> list[Fault]:
    """Draw faults. A change elsewhere, or a move of the file, leaves most of the sample as it is."""
    occurrences: dict[tuple[str, ...], int] = defaultdict(int)
    keyed = []
    for fault in faults:
        what = (Path(fault.path).name, fault.place, fault.kind, fault.right, fault.wrong)
        occurrences[what] += 1
        keyed.append((hashlib.sha256(repr((seed, what, occurrences[what])).encode()).digest(), fault))
    return [fault for _, fault in sorted(keyed, key=lambda pair: pair[0])[:number]]


def describe(fault: Fault, root: Path) -> str:
    """Return one line: where, what kind, and the right and the wrong text."""
    line = (root / fault.path).read_text().count("\n", 0, fault.start) + 1
    right, wrong = (" ".join(text.split()) for text in (fault.right, fault.wrong))
    return f"{fault.path}:{line}: {fault.kind}: {right[:70]} -> {wrong[:70]}"


def run_faults(
    root: Path, faults: list[Fault], copies: list[Copy], tests: TestsOfLines, timeout: float
) -> dict[Fault, str]:
    """Run the tests for each fault; print those that no test sees."""
    sources = {path: (root / path).read_text() for path in {fault.path for fault in faults}}

    def start(copy: Copy, fault: Fault) -> None:
        copy.write(fault.path, fault.apply(sources[fault.path]))
        chosen = tests.of(fault) if fault.path != run_script.PATH else tests.in_file(run_script.TESTS)
        files = sorted({test.partition("::")[0] for test in chosen})
        of_a_test = timeout + 10 * max(chosen.values(), default=0)
        of_all = timeout + 10 * sum(chosen.values())
        copy.start(files or ["tests"], Chosen(chosen), of_all, "-x", f"--timeout={of_a_test:.0f}")

    results = {}
    for copy, fault, result in run_all(copies, iter(faults), start):
        copy.write(fault.path, sources[fault.path])
        results[fault] = result
        if result in {"passed", "hung"}:
            said = "not seen" if result == "passed" else "hung, so seen"
            print(f"{said}: {describe(fault, root)}", flush=True)
    return results


def report(results: dict[Fault, str], floors: dict[str, float]) -> int:
    """Print how many faults were seen in each room; return 1 if they are fewer than a floor asks for."""
    rooms: dict[str, list[bool]] = defaultdict(list)
    for fault, result in results.items():
        for room in (room_of(fault.path), "all"):
            rooms[room].append(result != "passed")
    status = 0
    for room in sorted(rooms, key=lambda room: (room == "all", room)):
        seen, number = sum(rooms[room]), len(rooms[room])
        too_few = 100 * seen < floors.get(room, 0) * number
        status |= too_few
        missed = f"  floor {floors[room]:g} %" if too_few else ""
        print(f"{room:24}{seen:5} of {number:4}{100 * seen / number:7.1f} %{missed}")
    return status


def floor(text: str) -> tuple[str, float]:
    """Read `95` or `callbacks=90`."""
    room, _, percent = text.rpartition("=")
    return room or "all", float(percent)


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files or folders, all by default")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="folder of the project")
    parser.add_argument("--since", metavar="REV", help="only lines that changed since a revision")
    parser.add_argument("--sample", type=int, default=60, help="number of faults at most, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cap", type=float, default=40, help="seconds of tests for one fault at most")
    parser.add_argument(
        "--timeout", type=float, default=20, help="seconds to which ten times those of the tests are added"
    )
    parser.add_argument("--floor", type=floor, action="append", default=[], help="least percentage: 95 or ROOM=90")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    return parser.parse_args()


def main() -> int:
    """Draw the faults, run the tests, and report."""
    args = arguments()
    root = args.root.resolve()
    paths = [os.path.relpath(path, root) for path in args.paths] or [PACKAGE, run_script.PATH]
    faults = all_faults(root, paths)
    if args.since:
        changed = changed_lines(root, args.since)
        faults = [fault for fault in faults if changed[fault.path] & set(range(fault.lines[0], fault.lines[1] + 1))]
    faults = sample_of(faults, args.sample, args.seed)
    if args.list or not faults:
        print("\n".join(describe(fault, root) for fault in faults) or "no faults to make")
        return 0
    import_heavy()
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(root, Path(folder) / str(number)) for number in range(NUM_COPIES)]
        tests = TestsOfLines(root, PACKAGE, args.cap)
        tests.measure(copies, run_script.TESTS if {fault.path for fault in faults} == {run_script.PATH} else None)
        return report(run_faults(root, faults, copies, tests, args.timeout), dict(args.floor))


if __name__ == "__main__":
    sys.exit(main())

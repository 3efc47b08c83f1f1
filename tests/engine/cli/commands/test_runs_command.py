"""`lightning-template runs`: tables of what runs left, from their files alone."""

import json
import math
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from conftest import ROOT, Command
from lightning_template.engine.cli.commands.runs import COLUMNS, SORTED_BY
from lightning_template.engine.runs import directories as runs

FIT = ["fit", f"--config={ROOT / 'configs/line/adam.yaml'}", "--trainer.max_epochs=3", "--data.val_fraction=0.2"]
FIT += ["--callbacks.figures=null", "--callbacks.dashboard=null"]
RUN = Path("lightning_logs/line_adam/version_0")


def make_run(name: str, best: float | None = None, mode: str = "max", **state: Any) -> Path:
    run = Path("lightning_logs") / name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("seed_everything: 0\n")
    (run / "state.json").write_text(json.dumps({"state": "finished", "epochs": 5, "seconds": 61.0, **state}))
    if best is not None:
        entry = {"monitor": "val/accuracy", "mode": mode, "best_score": best, "best_epoch": 2}
        (run / "metrics.json").write_text(json.dumps({"best": entry, "final": {"val/accuracy": best}}))
    return run


def listed(command: Command, *args: str) -> list[dict[str, Any]]:
    result = command("runs", "--json", *args)
    assert (result.status, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def test_a_run_tells_what_became_of_it(command: Command) -> None:
    assert command(*FIT, "--test_after_fit").status == 0
    (run,) = listed(command)
    metrics = json.loads((RUN / "metrics.json").read_text())
    assert (run["experiment"], run["version"], run["state"], run["epochs"], run["steps"]) == (
        "line_adam",
        0,
        "finished",
        3,
        json.loads((RUN / "state.json").read_text())["steps"],
    )
    assert run["best"] == metrics["best"]
    assert run["test"]["test/mae"] == metrics["test"]["test/mae"]
    assert 0 < run["seconds"] < 100
    table = command("runs").out.splitlines()
    assert table[0].split() == [*COLUMNS]
    assert table[1].split()[:4] == ["line_adam", "0", "finished", "3"]
    assert f"val/loss {metrics['best']['best_score']:.4f}" in table[1]
    assert f"test/loss {metrics['test']['test/loss']:.4f}" in table[1]


def test_a_stopped_run_and_a_failed_one(command: Command) -> None:
    injected = "--trainer.callbacks=injected."
    sys.path.append(str(ROOT / "tests" / "faults"))
    at_step_4 = ["--trainer.callbacks.step=4"]
    number = f"--trainer.callbacks.number={int(signal.SIGTERM)}"
    assert command(*FIT, "--data.batch_size=16", f"{injected}SignalAt", number, *at_step_4).status == 143
    assert command(*FIT, "--data.batch_size=16", f"{injected}OutOfMemory", *at_step_4).status == 1
    stopped, failed = listed(command)
    assert (stopped["state"], stopped["steps"], stopped["error"]) == ("interrupted", 5, None)
    assert (failed["state"], failed["steps"]) == ("failed", 4)
    assert failed["error"].startswith("CUDA out of memory")
    seconds = stopped["seconds"]
    assert command("fit", "--ckpt_path", RUN, "--trainer.callbacks=null").status == 0
    (resumed,) = listed(command, "--state=finished")
    assert (resumed["epochs"], resumed["error"]) == (3, None)
    assert resumed["seconds"] >= seconds  # of all its parts


def test_running_is_who_holds_the_lock(command: Command, workspace: Path) -> None:
    run = make_run("a/version_0", state="running")
    assert [found["state"] for found in listed(command)] == ["interrupted"]  # killed without a word
    with FileLock(run / ".lock"):
        assert [found["state"] for found in listed(command, "--state=running")] == ["running"]


def test_filters_and_order(command: Command, workspace: Path) -> None:
    make_run("a/version_0", 0.8, started="2026-01-03")
    make_run("a/version_1", 0.9, started="2026-01-01", seconds=5.0)
    make_run("a/version_10", None, started="2026-01-02", state="failed")
    make_run("b/version_0", 0.7, started="2026-01-04")

    def versions(*args: str) -> list[str]:
        return [f"{run['experiment']}{run['version']}" for run in listed(command, *args)]

    assert versions() == ["a0", "a1", "a10", "b0"]
    assert versions("--sort=best") == ["a10", "b0", "a0", "a1"]
    assert versions("--sort=started") == ["a1", "a10", "a0", "b0"]
    assert versions("--sort=duration", "--experiment=a")[0] == "a1"
    assert versions("--state=failed") == ["a10"]
    assert command("runs", "--experiment=c").out == "no runs in lightning_logs\n"


def test_the_best_run_is_by_its_own_measure(command: Command, workspace: Path) -> None:
    make_run("a/version_0", 0.8)
    make_run("a/version_1", 0.9)
    make_run("a/version_2", None)
    make_run("error/version_0", 0.8, mode="min")
    make_run("error/version_1", 0.9, mode="min")
    assert command("runs", "best", "a").out == "lightning_logs/a/version_1\n"
    assert command("runs", "best", "error").out == "lightning_logs/error/version_0\n"
    nothing = command("runs", "best", "c")
    assert nothing.status == 2
    assert "has no score" in nothing.err


def test_show_and_diff(command: Command) -> None:
    assert command(*FIT).status == 0
    assert command(*FIT, "--model.optimizer.lr=0.1").status == 0
    shown = command("runs", "show", "line_adam")
    assert shown.status == 0
    for text in ("# run", "state: finished", "# metrics", "best best_score: ", "# overrides", "lr: 0.1", "# config"):
        assert text in shown.out
    differs = command("runs", "diff", RUN, "line_adam/version_1").out.splitlines()
    assert differs[1].split() == ["model.optimizer.lr", "0.001", "0.1"]
    in_json = json.loads(command("runs", "diff", RUN, "line_adam", "--json").out)
    assert in_json["config"] == {"model.optimizer.lr": [0.001, 0.1]}
    assert "final train/loss" in in_json["results"]
    unknown = command("runs", "show", "line_sgd")
    assert unknown.status == 2
    assert "no run line_sgd in lightning_logs; experiments: line_adam" in unknown.err


@pytest.mark.parametrize("content", ["", '{"state": "fini', "[]", '{"state": 5, "best": 1}', "\udcff"])
def test_half_written_files_and_foreign_folders_are_survived(content: str, command: Command, workspace: Path) -> None:
    make_run("a/version_0", 0.8)
    broken = make_run("b/version_0", 0.8)
    for name in ("state.json", "metrics.json", "environment.json", "config.yaml"):
        (broken / name).write_bytes(content.encode(errors="surrogateescape"))
    for foreign in ("version_3/checkpoints", "c/version_x", "d/version_1/deeper"):
        (Path("lightning_logs") / foreign).mkdir(parents=True)
    Path("lightning_logs/a/version_7").touch()
    found = listed(command)
    assert [run["experiment"] for run in found] == ["a", "b"]
    assert (found[1]["best"], found[1]["test"]) == (None, None)
    assert command("runs").status == 0
    assert command("runs", "show", "b").status == 0


@pytest.mark.parametrize("args", [["show"], ["best"], ["--sort=size"], ["--stat=failed"], ["list"]])
def test_a_mistake_gets_one_line(args: list[str], command: Command) -> None:
    result = command("runs", *args)
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "runs --help tells more" in result.err


def test_it_answers_without_torch_and_writes_nothing(command: Command, workspace: Path) -> None:
    make_run("a/version_0", 0.8)
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}
    code = "import sys; from lightning_template.engine.cli.main import main; main(); sys.exit('torch' in sys.modules)"
    for args in (["runs"], ["runs", "best", "a"], ["runs", "diff", "a", "a"], ["runs", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, shlex.join(args) + done.stderr
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*")} == before
    assert os.listdir("lightning_logs") == ["a"]  # noqa: PTH208  # a list compares
    assert runs.read_run(Path("lightning_logs/a/version_0"))["best"]["best_score"] == 0.8


HOSTILE = "\x1b[31mred\x1b]0;title\x07\r\n\t\x9b2J\u202e\ud800"
FIELDS = {
    "state.json": ("state", "epochs", "steps", "seconds", "error", "started"),
    "metrics.json": ("best", "final", "test", "val"),
    "environment.json": ("started", "git_commit", "git_dirty", "command"),
}
BEST = ("monitor", "mode", "best_score", "best_epoch", HOSTILE)
COMMANDS: list[list[str]] = [
    [],
    ["--json"],
    *([f"--sort={key}"] for key in SORTED_BY),
    ["show", "bad"],
    ["best", "bad"],
]
COMMANDS += [["show", "bad", "--json"], ["diff", "bad", "good"], ["diff", "bad", "good", "--json"]]


def values(generator: random.Random, depth: int = 2) -> Any:
    """Return any value that JSON can have."""
    numbers = [0, -1, 7, 10**30, 10**400, 0.5, -0.0, 1e308, math.nan, math.inf, -math.inf]
    texts = ["", "soon", HOSTILE, "finished", "running", "min", "max", "val/loss", "2026-01-01", "x" * 10_000]
    kinds: list[Any] = [None, True, False, *numbers, *texts, [], {}]
    if depth and generator.random() < 0.4:
        parts = [values(generator, depth - 1) for _ in range(generator.randrange(4))]
        return parts if generator.random() < 0.5 else dict(zip([*BEST], parts, strict=False))
    return generator.choice(kinds)


def write_anything(run: Path, generator: random.Random) -> None:
    run.mkdir(parents=True, exist_ok=True)
    for name, fields in FIELDS.items():
        content: Any = {field: values(generator) for field in fields if generator.random() < 0.8}
        if generator.random() < 0.5 and "best" in content:
            content["best"] = {field: values(generator, 1) for field in BEST}
        if generator.random() < 0.1:
            content = values(generator)
        (run / name).write_text(json.dumps(content))
    content = {"model": values(generator), HOSTILE[:9]: values(generator), 5: values(generator)}
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    (run / "overrides.yaml").write_text(HOSTILE[:-1])


@pytest.mark.parametrize("seed", range(20))
def test_no_file_of_a_run_breaks_the_command_or_steers_the_terminal(seed: int, command: Command) -> None:
    make_run("good/version_0", 0.75)
    generator = random.Random(seed)
    write_anything(Path("lightning_logs/bad/version_0"), generator)
    write_anything(Path("lightning_logs/bad/version_1"), generator)
    for args in COMMANDS:
        status, out, err = command("runs", *args)
        assert status == 0 or (args[0] == "best" and "has no score" in err), (args, err)
        assert not re.search(r"[^\n -~]", out + err)
        if "--json" in args:
            json.loads(out, parse_constant=pytest.fail)
        elif args[:1] not in (["show"], ["best"], ["diff"]):
            assert [line for line in out.splitlines() if "good" in line and "val/accuracy 0.7500" in line]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # an identifier goes into the environment, which has little space
        ("state.json", "[" * 100_000),
        ("state.json", '{"seconds": ' + "[" * 500 + "]" * 500 + "}"),
        ("metrics.json", '{"best": ' + '{"a": ' * 100 + "1" + "}" * 101),
        ("state.json", '{"epochs": ' + "9" * 5000 + "}"),
        ("state.json", " " * (1 << 24) + "{}"),
        ("config.yaml", "a: [" * 1000),
        ("config.yaml", "a: &a [*a]"),
        ("config.yaml", "? [a, b]\n: !!binary aGFsbG8=\nb: !!set {x, y}\nc: 2001-01-01\nd: .nan\n"),
        ("config.yaml", "- a\n"),
        ("config.yaml", "a: b\n" * 300_000),
    ],
    ids=[*"abcdefghij"],
)
def test_files_beyond_all_measure(name: str, content: str, command: Command, workspace: Path) -> None:
    make_run("good/version_0", 0.75)
    (make_run("bad/version_0", 0.5) / name).write_text(content)
    for args in COMMANDS:
        status, out, err = command("runs", *args)
        assert status == 0 or (args[0] == "best" and "has no score" in err), (args, err)
        assert "good" in out or args not in ([], ["--json"])
        assert len(err.splitlines()) <= 1


@pytest.mark.parametrize("state", ["finished", "interrupted", "failed"])
@pytest.mark.parametrize("score", [None, 0.5])
def test_a_run_is_what_it_says(state: str, score: float | None, command: Command, workspace: Path) -> None:
    make_run("a/version_0", score, state=state)
    assert [found["state"] for found in listed(command)] == [state]


def test_broken_fields_are_unknown(command: Command, workspace: Path) -> None:
    run = make_run("a/version_0", 0.75, state="gone", seconds="soon", started=7, epochs=True, error=["x"])
    (run / "environment.json").write_text(json.dumps({"git_commit": 5, "git_dirty": "no", "started": "tomorrow"}))
    (found,) = listed(command)
    assert {key: found[key] for key in ("seconds", "started", "epochs", "error", "commit", "dirty")} == dict.fromkeys(
        ("seconds", "started", "epochs", "error", "commit", "dirty")
    )
    assert (found["state"], found["best"]["best_score"]) == ("finished", 0.75)


@pytest.mark.parametrize(
    "broken", [{"best_score": None}, {"best_score": math.nan}, {"mode": "best"}, {"monitor": 5}, {"best_epoch": -1}]
)
def test_a_broken_best_score_is_unknown(broken: dict[str, Any], command: Command, workspace: Path) -> None:
    run = make_run("a/version_0", 0.75)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({"best": {**metrics["best"], **broken}}))
    make_run("a/version_1", 0.5)
    assert [found["best"] is None for found in listed(command)] == [True, False]
    assert command("runs", "best", "a").out == "lightning_logs/a/version_1\n"


def test_pipes_in_place_of_files_do_not_wait(command: Command, workspace: Path) -> None:
    make_run("good/version_0", 0.75)
    run = Path("lightning_logs/bad/version_0")
    run.mkdir(parents=True)
    for name in ("state.json", "metrics.json", "environment.json", "config.yaml", "overrides.yaml", ".lock"):
        os.mkfifo(run / name)
    assert [found["experiment"] for found in listed(command)] == ["good"]
    assert command("runs", "show", "bad").status == 0
    (run / "state.json").unlink()
    (run / "state.json").write_text('{"state": "running"}')
    assert [found["state"] for found in listed(command)] == ["interrupted", "finished"]


def test_show_as_json_has_all_that_is_shown(command: Command, workspace: Path) -> None:
    run = make_run("a/version_0", 0.75)
    shown = json.loads(command("runs", "show", "--json", "a").out)
    assert shown["path"] == str(run)
    assert shown["best"]["best_score"] == 0.75
    assert shown["metrics"] == json.loads((run / "metrics.json").read_text())
    assert (shown["config"], shown["overrides"]) == ("seed_everything: 0\n", "")

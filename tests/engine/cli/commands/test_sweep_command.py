"""`lightning-template sweep`."""

import csv
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from conftest import ROOT, Command
from lightning_template.engine.runs.directories import read_json
from lightning_template.engine.sweep import outcome

OLS = ["--config", str(ROOT / "configs/line/ols.yaml")]
STUDY = Path("lightning_logs/line_ols_sweep")
ADAM = [
    f"--config={ROOT / 'configs/line/adam.yaml'}",
    "--data.num_points=4000",
    "--data.batch_size=4",
    "--trainer.max_epochs=2",
    "--callbacks.checkpoint.every_n_steps=100",
    "--objective=train/loss",
]
"""Two epochs of 1000 steps."""
POSTGRESQL = os.environ.get("POSTGRESQL_URL", "")
"""An empty database, such as postgresql+psycopg2://postgres@localhost/study."""
NEEDS_SERVER = pytest.mark.skipif(not POSTGRESQL, reason="needs the URL of a database in POSTGRESQL_URL")
ADAM_STUDY = Path("lightning_logs/line_adam_sweep")


def weights(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return loaded


def trials(study: Path) -> list[list[str]]:
    return [line.split(",") for line in (study / "trials.csv").read_text().splitlines()[1:]]


def test_a_study(command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test of all that takes a study of trained runs, each of which takes half a second."""
    monkeypatch.setattr(outcome, "write_pictures", lambda study: [])  # tests/engine/sweep/test_pages.py
    monkeypatch.setattr(outcome, "write_page", lambda study, rows: None)
    args = ["sweep", *OLS, "--trainer.max_epochs=2", "--callbacks.dashboard=null", "--objective=train/loss"]
    slip = command(*args, "--space=model.optimizer.lrr=0.1,1")
    assert slip.status == 2
    assert slip.err.count("\n") == 1
    assert "`model.optimizer.lrr` is not an option of torch.optim.LBFGS, did you mean model.optimizer.lr?" in slip.err
    assert not list(workspace.iterdir())
    done = command(*args, "--space=model.optimizer.max_iter=1,20")
    assert done.status == 0, done.err
    assert "trial 1 finished (2 of 2): train/loss (min)" in done.out
    runs = sorted(STUDY.glob("version_*"))
    states = [read_json(run / "state.json") for run in runs]
    assert [(state["study"], state["trial"], state["seed"]) for state in states] == [
        ("line_ols_sweep", number, 0) for number in (0, 1)
    ]
    assert [row[:2] for row in trials(STUDY)] == [["0", "finished"], ["1", "finished"]]
    final = [read_json(run / "metrics.json")["final"]["train/loss"] for run in runs]  # the last epoch is the best
    assert [float(row[2]) for row in trials(STUDY)] == pytest.approx(final)
    best = (STUDY / "best.yaml").read_text()
    assert best.startswith("# Trial 1 of the study line_ols_sweep: train/loss ")
    config = yaml.safe_load(best)
    assert config["experiment"] == "line_ols"
    assert config["callbacks"]["figures"] is not None, "what a study switches off is on again"
    assert config["model"]["init_args"]["optimizer"]["init_args"]["max_iter"] == 20


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--space=a=1"], "`sweep` needs --config FILE"),
        (OLS, "the space is empty: give --space OPTION=VALUES or --space FILE"),
        ([*OLS, "--space=a=1", "--trails=3"], "`--trails` is not an option, did you mean trials?"),
        ([*OLS, "--space=a=1", "--trials=x"], "argument --trials: invalid int value: 'x'"),
        ([*OLS, "--space=a=1", "--workers=0"], "`--workers` must be at least 1, got 0"),
        ([*OLS, "--space=seed_everything=1,2"], "`seed_everything` cannot be searched: give --seeds N"),
    ],
)
def test_what_is_wrong_is_one_line(args: list[str], message: str, command: Command, workspace: Path) -> None:
    result = command("sweep", *args)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not list(workspace.iterdir())


def test_without_optuna_one_line_says_what_to_install(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = command("sweep", *OLS, "--space=a=1")
    assert result.status == 2
    assert result.err == "lightning-template: error: `sweep` needs optuna: pip install 'lightning-template[sweep]'\n"


def start(*args: str, **options: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lightning_template", "sweep", *args]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finished(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, out + err
    return out, err


def wait_for(what: Any) -> Any:
    deadline = time.monotonic() + 150
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_weights_are_those_of_the_command_alone(workspace: Path) -> None:
    """To the bit, whatever trial came before in the process: deterministic algorithms, shuffled order, workers."""
    args = [
        f"--config={ROOT / 'configs/line/mlp.yaml'}",
        "--trainer.max_epochs=3",
        "--data.batch_size=7",
        "--data.val_fraction=0.2",
        "--model.network.batch_norm=true",
    ]
    space = ["--space=model.optimizer.lr=1e-4..1e-2:log", "--space=trainer.deterministic=true,false"]
    space += ["--space=model.network.hidden_features=[4],[4, 4]", "--space=data.num_workers=0,2"]
    finished(start(*args, *space, "--trials=8", "--sampler=random", "--seeds=2"))
    study = Path("lightning_logs/line_mlp_sweep")
    for number in (0, 5, 7):  # the last ones take a configuration that was parsed with other numbers
        row = list(csv.DictReader((study / "trials.csv").read_text().splitlines()))[number]
        given = [f"--{name}={value}" for name, value in row.items() if name.startswith(("model.", "trainer.", "data."))]
        words = ["fit", *args, *given, "--seed_everything=8", f"--experiment=alone_{number}"]
        subprocess.run([sys.executable, "-m", "lightning_template", *words], check=True, capture_output=True)
        run, alone = study / row["runs"].split()[1], Path(f"lightning_logs/alone_{number}/version_0")
        config, expected = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (run, alone))
        assert {name for name in config if config[name] != expected[name]} == {"experiment", "callbacks"}
        for name, weight in weights(run).items():
            assert torch.equal(weight, weights(alone)[name]), (run, name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("url", [None, "sqlite:///study.db", pytest.param(POSTGRESQL, marks=NEEDS_SERVER)])
def test_two_workers_and_kill_9(workspace: Path, url: str | None) -> None:
    """Each trial is run once; what a killed worker has begun, the other one ends as if nothing had been."""
    space = ["--space=model.optimizer.lr=0.001,0.002,0.003,0.004", *([f"--storage={url}"] if url else [])]
    process = start(*ADAM, *space, "--workers=2")

    def begun() -> tuple[int, Path] | None:
        for run in ADAM_STUDY.glob("version_*"):
            if read_json(run / "state.json").get("state") == "running" and (run / "checkpoints/last.ckpt").is_file():
                held = subprocess.run(["fuser", run / ".lock"], capture_output=True, text=True, check=False).stdout
                if held.split():
                    return int(held.split()[0]), run
        return None

    victim, run = wait_for(begun)
    os.kill(victim, signal.SIGKILL)
    killed = read_json(run / "state.json")
    out, _ = finished(process)
    assert "4 finished" in out
    assert [row[:2] for row in trials(ADAM_STUDY)] == [[str(number), "finished"] for number in range(4)]
    states = [read_json(run / "state.json") for run in ADAM_STUDY.glob("version_*")]
    assert sorted(state["trial"] for state in states) == [0, 1, 2, 3], "none twice, the killed one in its own run"
    assert {state["state"] for state in states} == {"finished"}
    config = yaml.safe_load((run / "config.yaml").read_text())
    lr = config["model"]["init_args"]["optimizer"]["init_args"]["lr"]
    words = ["fit", *ADAM[:-1], f"--model.optimizer.lr={lr}", "--experiment=alone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "lightning_template", *words], check=True, capture_output=True, env=environment
    )
    alone = weights(Path("lightning_logs/alone/version_0"))
    for name, weight in weights(run).items():
        assert torch.equal(weight, alone[name]), killed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_stops_all_workers_and_the_same_command_goes_on(workspace: Path, workers: int) -> None:
    args = [*ADAM, "--space=model.optimizer.lr=0.001,0.002,0.003", f"--workers={workers}"]
    process = start(*args, start_new_session=True)
    wait_for(lambda: len(list(ADAM_STUDY.glob("version_*/checkpoints/last.ckpt"))) >= workers)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = finished(process, 130)
    assert re.search(r"stopped by SIGINT.*; to go on, give the same command: .*lightning-template sweep", err)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    states = [read_json(run / "state.json")["state"] for run in ADAM_STUDY.glob("version_*")]
    assert "interrupted" in states
    assert "running" not in states
    finished(start(*args))
    states = [read_json(run / "state.json")["state"] for run in ADAM_STUDY.glob("version_*")]
    assert states == ["finished"] * 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_that_has_grown_is_replaced(workspace: Path) -> None:
    args = [*OLS, "--objective=train/loss", "--space=model.optimizer.lr=0.5,1", "--max_growth=0"]
    process = start(*args)
    finished(process)
    logs = list((STUDY / "workers").glob("*.txt"))
    assert len(logs) == 2, "the process that goes on has the same number, but another name"
    assert all(log.read_text().count("# trial") == 1 for log in logs)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pruned_trials_in_training(workspace: Path) -> None:
    args = [
        f"--config={ROOT / 'configs/line/adam.yaml'}",
        "--data.val_fraction=0.2",
        "--trainer.max_epochs=20",
        "--space=model.optimizer.lr=0.3,0.3001,0.3002,1e-9,0.1",
        "--pruner=median:n_startup_trials=2",
    ]
    out, _ = finished(start(*args))
    assert "pruned" in out
    rows = trials(ADAM_STUDY)
    assert rows[3][1] == "pruned"
    run = ADAM_STUDY / rows[3][-2]
    assert not (run / "checkpoints").exists()
    state = read_json(run / "state.json")
    assert state["pruned"] is True
    assert state["epochs"] < 20
    table = subprocess.run(
        [sys.executable, "-m", "lightning_template", "runs", "--json"], capture_output=True, text=True, check=True
    )
    assert len(json.loads(table.stdout)) == 5

"""Jobs of SLURM, with a `scontrol` that writes down what it is asked for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from conftest import ROOT, Command
from lightning_template.engine.runs import slurm

FIT = ["fit", f"--config={ROOT / 'configs/line/adam.yaml'}", "--trainer.max_epochs=3", "--data.batch_size=20"]
FIT += ["--callbacks.figures=null", "--callbacks.dashboard=null"]
"""Three epochs of five steps."""
RUNS = Path("lightning_logs/line_adam")


def stopped_by(number: signal.Signals) -> list[str]:
    """Return a command that gets a signal in its eighth step."""
    injected = "--trainer.callbacks=injected.SignalAt"
    return [*FIT, injected, "--trainer.callbacks.step=7", f"--trainer.callbacks.number={int(number)}"]


@pytest.fixture
def job(workspace: Path) -> Path:
    """Be job 123; return the file that the requests to queue it again are written into."""
    sys.path.append(str(ROOT / "tests" / "faults"))
    requests = workspace / "requests"
    tools = workspace / "tools"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\nls {RUNS}/*/checkpoints > seen\necho "$@" >> {requests}\n')
    (tools / "scontrol").chmod(0o755)
    variables = {"JOB_ID": "123", "JOB_NAME": "train", "NTASKS": "1", "LOCALID": "0", "PROCID": "0", "NODEID": "0"}
    os.environ |= {f"SLURM_{name}": value for name, value in variables.items()}
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    return requests


@pytest.fixture(autouse=True)
def outside_of_jobs(workspace: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]


def weights(run: str, root: str = ".") -> dict[str, torch.Tensor]:
    checkpoint = torch.load(Path(root) / RUNS / run / "checkpoints" / "last.ckpt", weights_only=True)
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def state(run: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((RUNS / run / "state.json").read_text())
    return found


def test_usr1_queues_the_job_again_which_goes_on_with_its_run(command: Command, job: Path) -> None:
    args = stopped_by(signal.SIGUSR1)
    assert command(*FIT).status == 0  # another run of the experiment
    stopped = command(*args)
    assert stopped.status == 128 + signal.SIGUSR1
    assert job.read_text() == "requeue 123\n"
    assert "last.ckpt" in Path("seen").read_text()
    assert "stopped by SIGUSR1 after step 8; to go on: " in stopped.err
    assert stopped.err.endswith("job 123 is queued again, to go on by itself\n")
    assert state("version_1")["state"] == "interrupted"
    assert command(*FIT).status == 0  # and a newer one
    os.environ["SLURM_RESTART_COUNT"] = "1"
    resumed = command(*args)
    assert resumed.status == 0
    assert resumed.err.count(f"job 123 was queued again: going on with its run {RUNS}/version_1\n") == 1
    assert sorted(run.name for run in RUNS.iterdir()) == ["version_0", "version_1", "version_2"]
    assert (state("version_1")["state"], state("version_1")["steps"]) == ("finished", 15)
    torch.testing.assert_close(weights("version_1"), weights("version_0"), rtol=0, atol=0)
    assert not list(Path().rglob("hpc_ckpt*"))


def test_sigterm_leaves_it_to_slurm(command: Command, job: Path) -> None:
    args = stopped_by(signal.SIGTERM)
    assert command(*args).status == 143
    assert not job.exists()
    os.environ["SLURM_RESTART_COUNT"] = "2"
    resumed = command(*args)
    assert (resumed.status, state("version_0")["steps"]) == (0, 15)


def test_nothing_is_loaded_that_was_not_asked_for(command: Command, job: Path) -> None:
    assert command(*FIT).status == 0
    shutil.copyfile(RUNS / "version_0/checkpoints/last.ckpt", "hpc_ckpt_1.ckpt")
    assert command(*FIT).status == 0
    torch.testing.assert_close(weights("version_1"), weights("version_0"), rtol=0, atol=0)
    assert state("version_1")["steps"] == 15
    assert command("test", *FIT[1:2], "--allow_untrained").status == 0
    assert json.loads((RUNS / "version_2/metrics.json").read_text())["test"].get("checkpoint") is None


@pytest.mark.parametrize("other", [{"SLURM_JOB_ID": "124"}, {"SLURM_JOB_NAME": "bash"}, {"SLURM_RESTART_COUNT": "0"}])
def test_only_the_job_itself_goes_on(other: dict[str, str], job: Path) -> None:
    run = write_run("version_0", slurm.mark(FIT))
    os.environ["SLURM_RESTART_COUNT"] = "1"
    assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) == run
    os.environ |= other
    assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) is None


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "123"),
        ({"SLURM_ARRAY_JOB_ID": "120"}, "123"),
        ({"SLURM_ARRAY_TASK_ID": "4"}, "123"),
        ({"SLURM_ARRAY_JOB_ID": "120", "SLURM_ARRAY_TASK_ID": "4"}, "120_4"),
        ({"SLURM_JOB_ID": ""}, None),
        ({"SLURM_JOB_NAME": "bash"}, None),
        ({"SLURM_JOB_NAME": "interactive"}, None),
    ],
)
def test_a_job_is_known_by_its_variables(variables: dict[str, str], name: str | None, job: Path) -> None:
    os.environ |= variables
    assert slurm.job() == name
    assert slurm.mark(["fit"]) == ({"slurm_job": name, "slurm_args": ["fit"]} if name else {})
    del os.environ["SLURM_JOB_ID"]
    assert slurm.job() == (name if name == "120_4" else None)


@pytest.mark.parametrize(
    ("restarts", "goes_on"), [(None, False), ("0", False), ("x", False), ("1", True), ("12", True)]
)
def test_a_job_goes_on_where_it_was_queued_again(
    restarts: str | None, goes_on: bool, job: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = write_run("version_0", slurm.mark(FIT))
    if restarts is not None:
        os.environ["SLURM_RESTART_COUNT"] = restarts
    assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) == (run if goes_on else None)
    assert caplog.messages == [f"job 123 was queued again: going on with its run {run}"] * goes_on
    caplog.clear()
    for process, number in (("1", 0), (None, goes_on)):  # one process speaks for all
        os.environ.pop("SLURM_PROCID")
        if process:
            os.environ["SLURM_PROCID"] = process
        assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) == (run if goes_on else None)
        assert len(caplog.messages) == number
        os.environ["SLURM_PROCID"] = "0"


def write_run(name: str, entries: dict[str, object]) -> Path:
    run = RUNS / name
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    (run / "state.json").write_text(json.dumps({"state": "interrupted", **entries}))
    return run


def test_a_run_is_found_by_its_command(job: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.environ["SLURM_RESTART_COUNT"] = "1"
    seeds = [[*FIT, f"--seed_everything={seed}"] for seed in range(3)]
    first, _, newest = (
        write_run(f"version_{number}", slurm.mark(seeds[seed])) for number, seed in enumerate((0, 1, 0))
    )
    assert slurm.run_to_go_on_with(Path(), "line_adam", seeds[0]) == newest
    (newest / "checkpoints" / "last.ckpt").unlink()
    assert slurm.run_to_go_on_with(Path(), "line_adam", seeds[0]) == first
    (first / "checkpoints" / "last.ckpt").rename(first / "checkpoints" / "previous.ckpt")
    assert slurm.run_to_go_on_with(Path(), "line_adam", seeds[0]) == first
    caplog.clear()
    assert slurm.run_to_go_on_with(Path(), "line_adam", seeds[2]) is None
    assert slurm.run_to_go_on_with(Path(), "another", seeds[0]) is None
    assert slurm.run_to_go_on_with(Path("elsewhere"), "line_adam", seeds[0]) is None
    message = "job 123 was queued again: no checkpoint of this command is there, so a new run starts"
    assert caplog.messages == [message] * 3


def test_a_task_of_an_array_is_itself_alone(job: Path) -> None:
    os.environ |= {"SLURM_ARRAY_JOB_ID": "120", "SLURM_ARRAY_TASK_ID": "4", "SLURM_RESTART_COUNT": "1"}
    run = write_run("version_0", slurm.mark(FIT))
    assert slurm.queue_again(signal.SIGUSR1) == "; job 120_4 is queued again, to go on by itself"
    assert job.read_text() == "requeue 120_4\n"
    assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) == run
    os.environ["SLURM_ARRAY_TASK_ID"] = "5"
    assert slurm.run_to_go_on_with(Path(), "line_adam", FIT) is None


def test_a_request_that_fails_is_said(job: Path, workspace: Path) -> None:
    (workspace / "tools" / "scontrol").write_text("#!/bin/sh\necho Access denied >&2\nexit 1\n")
    assert slurm.queue_again(signal.SIGUSR1) == "; job 123 is not queued again: scontrol: Access denied"
    os.environ["PATH"] = str(workspace / "nowhere")
    missing = slurm.queue_again(signal.SIGUSR1)
    assert [slurm.queue_again(number) for number in (signal.SIGTERM, signal.SIGINT)] == ["", ""]
    assert missing == "; job 123 is not queued again: scontrol: No such file or directory"


def test_outside_of_a_batch_job_nothing_is_queued(command: Command, job: Path) -> None:
    os.environ["SLURM_JOB_NAME"] = "interactive"
    assert slurm.queue_again(signal.SIGUSR1) == ""
    assert slurm.mark(FIT) == {}
    del os.environ["SLURM_JOB_NAME"], os.environ["SLURM_JOB_ID"]
    stopped = command(*stopped_by(signal.SIGUSR1))
    assert stopped.status == 128 + signal.SIGUSR1
    assert not job.exists()
    assert "slurm_job" not in state("version_0")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_process_of_a_job(job: Path) -> None:
    args = ["fit", f"--config={ROOT / 'configs/line/adam.yaml'}", "--trainer.max_epochs=4000", "--data.batch_size=4"]
    args += ["--callbacks.checkpoint.every_n_steps=20", "--callbacks.figures=null", "--data.num_workers=1"]
    last = RUNS / "version_0" / "checkpoints" / "last.ckpt"
    for number in range(2):
        os.environ["SLURM_RESTART_COUNT"] = str(number)
        before = last.stat().st_mtime_ns if last.is_file() else 0
        command = [sys.executable, "-m", "lightning_template", *args]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            deadline = time.monotonic() + 120
            while not (last.is_file() and last.stat().st_mtime_ns > before):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGUSR1)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGUSR1, err
        assert "Traceback" not in err
        assert job.read_text() == "requeue 123\n" * (number + 1)
        assert [run.name for run in RUNS.iterdir()] == ["version_0"]

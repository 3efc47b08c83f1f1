"""Two processes that train together, started from a process that may have done anything."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import current_process
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from mutants import Classifier, Points
from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_template.testing import ranks
from lightning_template.testing.exceptions import CheckSkipped
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.subject import Subject

NOTEBOOK = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import DataLoader, TensorDataset

with FakeTensorMode():
    torch.empty(1, device="cuda")  # autograd then has threads for a device, as after work on a GPU
torch.set_num_threads(2)
(torch.rand(300, 300, requires_grad=True) @ torch.rand(300, 300)).sum().backward()

from lightning_template.testing import ranks
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.subject import Subject
from lightning_template.testing.running import run_check

class Task(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch):
        if fails and torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise ValueError("rank 1 cannot train")
        return nn.functional.cross_entropy(self(batch[0]), batch[1], reduction=reduction)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Data(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(12, 3), torch.arange(12) % 2), batch_size=6)

print(ranks.can_fork())
for fails, reduction in ((False, "mean"), (False, "sum"), (True, "mean")):
    result = run_check("two_ranks_match_one", Subject(lambda: Task(), lambda: Data()))
    print(result.outcome, result.message)
"""
"""What a cell of a notebook or a script without `if __name__ == "__main__"` does; it cannot be imported."""


@pytest.mark.slow  # each check starts two processes that import Lightning
@pytest.mark.timeout(600)
def test_a_process_that_used_a_gpu_starts_new_ones() -> None:
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=False)
    forks, sound, summed, failed = done.stdout.splitlines()
    assert (forks, sound, failed) == ("False", "passed ", "skipped could not look: ValueError: rank 1 cannot train"), (
        done.stderr
    )
    assert summed.startswith("advice two processes get other gradients of `layer.weight`, `layer.bias`")


@pytest.mark.parametrize("hazard", ["autograd's threads", "a lock", "CUDA", "a process group", "a daemon", "macOS"])
def test_a_process_that_cannot_fork_is_told(hazard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("Unable to handle autograd's threading in combination with fork-based multiprocessing")

    assert ranks.can_fork()
    if hazard == "autograd's threads":
        monkeypatch.setattr(torch.Tensor, "backward", lambda _: refuse())
    elif hazard == "a lock":
        monkeypatch.setattr(torch.Tensor, "backward", lambda _: time.sleep(60))
        monkeypatch.setattr(ranks, "PATIENCE", 0.2)
    elif hazard == "CUDA":
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    elif hazard == "a process group":
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    elif hazard == "a daemon":
        monkeypatch.setitem(current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    else:
        monkeypatch.setattr(sys, "platform", "darwin")
    assert not ranks.can_fork()


def ranks_together() -> dict[str, int | torch.Tensor]:
    total = torch.tensor([1.0 + distributed.get_rank()])
    distributed.all_reduce(total)
    return {"rank": distributed.get_rank(), "total": total}


def only_rank_0() -> None:
    if distributed.get_rank() == 1:
        raise ValueError("not here")
    distributed.barrier()


def test_forks_form_a_group(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")  # nothing depends on a port
    threads = torch.get_num_threads()
    with undisturbed():
        assert ranks.in_two_ranks(ranks_together) == {"rank": 0, "total": torch.tensor([3.0])}
        with pytest.raises(ProcessRaisedException, match=r"ValueError: not here\s*$"):
            ranks.in_two_ranks(only_rank_0)
    assert torch.get_num_threads() == threads
    assert not distributed.is_initialized()
    assert capfd.readouterr() == ("", "")


class ForkedPython:
    """Stands in for `subprocess.Popen` of Python: a fork has imported everything already."""

    made: list["ForkedPython"]

    def __init__(self, command: list[str], env: dict[str, str], stdout: BinaryIO, stderr: int) -> None:
        executable, option, code, *arguments = command
        assert (executable, option, stderr) == (sys.executable, "-c", subprocess.STDOUT)
        self.made.append(self)
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            for stream in (1, 2):
                os.dup2(stdout.fileno(), stream)
            os.environ.clear()
            os.environ.update(env)
            sys.argv[:] = [option, *arguments]
            try:
                exec(code, {})
            except SystemExit as error:
                os.write(2, str(error).encode())
                os._exit(1)
            os._exit(0)

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def wait(self) -> None:
        while self.poll() is None:
            time.sleep(0.01)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def new_processes(monkeypatch: pytest.MonkeyPatch) -> list[ForkedPython]:
    """Have ranks be new processes; return a list of those that are started."""
    monkeypatch.setattr(ranks, "can_fork", lambda: False)
    monkeypatch.setattr(ForkedPython, "made", [], raising=False)
    monkeypatch.setattr(subprocess, "Popen", ForkedPython)
    monkeypatch.setattr(ranks, "GRACE", 0.1)
    return ForkedPython.made


def surroundings(names: list[str]) -> dict[str, Any]:
    return ranks_together() | {name: os.environ.get(name) for name in names}


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_new_processes_form_a_group(
    new_processes: list[ForkedPython], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    names = ["PYTHONPATH", "CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "HOME"]
    found = ranks.in_two_ranks(partial(surroundings, names))
    path = os.pathsep.join([str(tmp_path), *sys.path[1:]])
    assert [found[name] for name in names] == [path, "", "0", os.environ.get("HOME")]
    assert (found["rank"], found["total"]) == (0, torch.tensor([3.0]))
    assert [process.returncode for process in new_processes] == [0, 0]


def fail_in_rank_1() -> None:
    if distributed.get_rank() == 1:
        raise ValueError("not here")
    time.sleep(60)


def end_rank_0() -> None:
    if distributed.get_rank() == 0:
        os._exit(3)
    time.sleep(60)


@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.parametrize(
    ("work", "rank", "message", "codes"),
    [
        (fail_in_rank_1, 1, r"(?s)^Traceback.*\nValueError: not here$", [-signal.SIGKILL, 1]),
        (end_rank_0, 0, "^it ended with 3$", [3, -signal.SIGKILL]),
    ],
)
def test_a_new_process_that_fails_ends_the_other(
    work: ranks.Work, rank: int, message: str, codes: list[int], new_processes: list[ForkedPython]
) -> None:
    with pytest.raises(ProcessRaisedException, match=message) as caught:
        ranks.in_two_ranks(work)
    assert (caught.value.error_index, caught.value.error_pid) == (rank, new_processes[rank].pid)
    assert [process.returncode for process in new_processes] == codes


def test_the_rank_that_failed_first_is_named(tmp_path: Path) -> None:
    class Rank:  # rank 0 loses its connection to rank 1, whose error is older but whose process ends later
        def __init__(self, pid: int, polls: list[int | None]) -> None:
            self.pid, self.polls = pid, polls

        def poll(self) -> int | None:
            return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]

    for rank, (said, when) in enumerate([("connection closed", 2), ("ValueError: not here", 1)]):
        (tmp_path / f"output{rank}").write_text(said)
        os.utime(tmp_path / f"output{rank}", (when, when))
    processes: Any = [Rank(10, [None, 1]), Rank(11, [None, None, None, 1])]
    with pytest.raises(ProcessRaisedException, match=r"^ValueError: not here$") as caught:
        ranks._wait(processes, tmp_path)
    assert (caught.value.error_index, caught.value.error_pid) == (1, 11)


def test_work_that_cannot_be_sent_is_skipped(new_processes: list[ForkedPython]) -> None:
    with pytest.raises(CheckSkipped, match=r"this one cannot be forked, .* cannot be sent to another: "):
        ranks.in_two_ranks(partial(print, sys.stdout))
    assert not new_processes


def test_another_process_reads_the_data_itself() -> None:
    subject = Subject(Classifier, Points)
    assert subject.train_batches
    assert vars(subject).keys() > {"data"}
    state = subject.__getstate__()
    assert state.keys() == {"_task", "_data", "_made"}
    assert state["_made"] == {}

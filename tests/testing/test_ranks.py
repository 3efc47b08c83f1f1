"""Two processes that train together, started from a process that may have done anything."""

import subprocess
import sys
import time
from multiprocessing import current_process

import pytest
import torch
from mutants import Classifier, Points
from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_template.testing import ranks
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
from lightning_template.testing.suite import run_check

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
    assert (forks, sound, failed) == ("False", "passed ", "failed ValueError: rank 1 cannot train"), done.stderr
    assert summed.startswith("failed two processes get other gradients of `layer.weight`, `layer.bias`")


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


def test_another_process_reads_the_data_itself() -> None:
    subject = Subject(Classifier, Points)
    assert subject.train_batches
    assert vars(subject).keys() > {"data"}
    state = subject.__getstate__()
    assert state.keys() == {"_task", "_data"}

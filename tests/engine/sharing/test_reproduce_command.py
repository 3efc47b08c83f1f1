"""`lightning-template reproduce`: the same weights to the bit, or what differs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import ROOT, Command
from lightning_template.engine.callbacks.fingerprints import digest

SHORT = ["--trainer.max_epochs=2", "--callbacks.figures=null", "--callbacks.dashboard=null"]
SHORT += ["--callbacks.progress_bar=null", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
FIT = ["fit", f"--config={ROOT / 'configs/line/adam.yaml'}", "--experiment=x", *SHORT]
RUN = Path("lightning_logs/x/version_0")


def change(name: str, **entries: Any) -> None:
    """Change a file of the run, as if the run had been another one."""
    known = json.loads((RUN / name).read_text())
    del known["sha256"]
    (RUN / name).write_text(json.dumps(known | entries))


@pytest.mark.slow
def test_a_run_is_repeated_to_the_bit_or_what_differs_is_named(command: Command) -> None:
    assert command(*FIT).status == 0
    known = json.loads((RUN / "digests.json").read_text())
    weights = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert known["final"] == digest(weights) != known["initial"]
    result = command("reproduce", "x")
    assert (result.status, result.err) == (0, ""), result
    assert result.out.splitlines()[-1] == "the final weights are the same to the bit"
    assert [line.split()[-1] for line in result.out.splitlines()[1:5]] == ["same"] * 4
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    change("digests.json", final="0" * 64)
    change("environment.json", git_commit="a" * 40, num_threads=77)
    result = command("reproduce", "x", "--output=again")
    assert result.status == 1
    assert "the final weights differ\n" in result.out
    assert "hardware differs: num_threads 77 is now " in result.out
    assert "code differs: git_commit aaaaaaaaaaaa... is now " in result.out
    assert "version differs" not in result.out
    assert "data differs" not in result.out
    assert (Path("again") / RUN / "digests.json").is_file()


def test_a_run_without_digests_is_one_line(command: Command) -> None:
    RUN.mkdir(parents=True)
    (RUN / "config.yaml").write_text("seed_everything: 0\n")
    for content, message in (
        (None, f"{RUN} has no digests of its weights to compare with: an earlier version trained it"),
        ('{"initial": "a", "final": null}', f"{RUN} has no digest of final weights: it did not finish"),
    ):
        if content:
            (RUN / "digests.json").write_text(content)
        result = command("reproduce", "x")
        assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
        assert message in result.err
    assert "no run y in" in command("reproduce", "y").err


@pytest.mark.slow
def test_other_data_are_named(command: Command) -> None:
    rows = [f"{number % 7},{3 * (number % 7)}" for number in range(40)]
    Path("t.csv").write_text("\n".join(["a,b", *rows]) + "\n")
    table = ["--data=TableDataModule", "--data.path=t.csv", "--data.targets=b", "--data.task=regression"]
    assert command(*FIT, *table).status == 0
    Path("t.csv").write_text("\n".join(["a,b", *rows]).replace(",", ",-").replace("a,-b", "a,b") + "\n")
    result = command("reproduce", "x")
    assert result.status == 1
    assert "data differs: their digests" in result.out


@pytest.mark.slow
def test_other_code_has_other_weights_and_a_stream_has_no_digest(command: Command) -> None:
    text = """
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader, TensorDataset

class Module(LightningModule):
    def __init__(self, in_memory: bool = False):
        super().__init__()
        self.net, self.in_memory = torch.nn.Linear(3, 1), in_memory
    def training_step(self, batch, batch_idx):
        x = batch[0] if self.in_memory else batch
        return SCALE * self.net(x).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def train_dataloader(self):
        rows = torch.arange(12.0).view(4, 3) / 12
        return DataLoader(TensorDataset(rows) if self.in_memory else [*rows], batch_size=2)
"""
    Path("own.py").write_text(f"SCALE = 1\n{text}")
    Path("own.yaml").write_text("model: own.Module\nexperiment: x\n")
    for in_memory in ("false", "true"):
        assert command("fit", "--config=own.yaml", *SHORT, f"--model.in_memory={in_memory}").status == 0
    digests = [json.loads((RUN.with_name(f"version_{number}") / "digests.json").read_text()) for number in (0, 1)]
    assert [found["data"] is None for found in digests] == [True, False]
    assert digests[0]["final"] == digests[1]["final"]
    result = command("reproduce", "x/version_0")
    assert result.status == 0
    assert "data     none             none             unknown" in result.out
    change("digests.json", final="0" * 64)
    result = command("reproduce", "x/version_0")
    assert "whether they differ is not known" in result.out
    assert "an operation may not be deterministic" in result.out


@pytest.mark.slow
def test_a_run_that_was_resumed_keeps_its_beginning(command: Command) -> None:
    assert command(*FIT).status == 0
    assert command(*FIT, "--trainer.max_epochs=1").status == 0
    resumed = RUN.with_name("version_1")
    assert command("fit", "--ckpt_path", resumed, "--trainer.max_epochs=2").status == 0
    one, other = (json.loads((run / "digests.json").read_text()) for run in (RUN, resumed))
    assert one == other
    assert command("reproduce", "x/version_1").status == 0

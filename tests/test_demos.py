"""Lightning's own demos, which know nothing of the template, from a configuration of three lines."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.demos import transformer
from torch import Tensor
from torch.utils.data import DataLoader

from conftest import Command

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]

DEMOS = "lightning.pytorch.demos"
VOCABULARY, WORDS = {"vocab_size": 8}, "test_demos.Words"
BORING = f"{DEMOS}.boring_classes.BoringDataModule"


class Words(LightningDataModule):
    """Sequences of seven words, of which there are eight, and each word's next one."""

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        words = (torch.arange(12).unsqueeze(1) + torch.arange(8)) % 8
        return DataLoader([(line[:-1], line[1:]) for line in words], batch_size=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "arguments", "data", "has_test"),
    [
        (f"{DEMOS}.boring_classes.BoringModel", {}, BORING, True),
        pytest.param(f"{DEMOS}.boring_classes.DemoModel", {}, BORING, False, marks=pytest.mark.slow),
        pytest.param(f"{DEMOS}.transformer.LightningTransformer", VOCABULARY, WORDS, False, marks=pytest.mark.slow),
        pytest.param(f"{DEMOS}.lstm.LightningLSTM", VOCABULARY, WORDS, False, marks=pytest.mark.slow),
    ],
)
def test_lightnings_demos_train_and_resume(
    model: str, arguments: dict[str, int], data: str, has_test: bool, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer.WikiText2, "__init__", lambda self, download: None)  # modules would download it
    Path("demo.yaml").write_text(
        f"model: {json.dumps({'class_path': model, 'init_args': arguments})}\n"
        f"data: {data}\n"
        "trainer: {max_epochs: 2, accelerator: cpu, limit_train_batches: 8, limit_val_batches: 2}\n"
    )
    run = Path("lightning_logs/demo/version_0")
    fitted = command("fit", "--config=demo.yaml")
    assert fitted.status == 0
    assert ("no best.ckpt, last.ckpt alone: the validation logs nothing to watch" in fitted.err) == has_test
    left_out = [line for line in fitted.err.splitlines() if line.startswith("left out")]
    assert all(line.startswith("left out from here on: the network's graph: ") for line in left_out)
    assert len(left_out) == (data == WORDS)  # their `forward` takes more than the inputs, or is not there
    assert not (run / "checkpoints" / "best.ckpt").exists()
    assert "best" not in fitted.out
    tested = command("test", "--config=demo.yaml", "--ckpt_path=last")
    assert tested.status == (0 if has_test else 2)
    assert has_test or "No `test_step()` method defined" in tested.err.splitlines()[-1]
    without = command("test", "--config=demo.yaml", "--ckpt_path=best")
    assert without.status == 2
    assert without.err.endswith(
        "no best.ckpt in 1 runs in lightning_logs/demo: there is a last.ckpt: --ckpt_path last\n"
    )
    more = ["--test_after_fit"] if has_test else []
    assert command("fit", "--ckpt_path", run, "--trainer.max_epochs=3", *more).status == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert "best" not in metrics
    assert ("test" in metrics) == has_test
    assert command("runs", "best", "demo").status == 2
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 3

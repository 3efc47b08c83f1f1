"""A step in one compiled graph trains as the plain one does."""

import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn

from lightning_template import Executions
from lightning_template.datamodules import LineDataModule
from lightning_template.networks import MLP
from lightning_template.tasks import RegressionTask

SILENT: Any = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:You defined a `validation_step`")


@pytest.fixture
def uncompiled() -> Iterator[None]:
    """Run what is compiled as it is written."""
    with torch.compiler.set_stance("force_eager"):
        yield


def trained(part: str | None, frozen: bool = False, **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return weights and logged metrics of a small network with batch norm after three epochs.

    Not with Adam: it makes full steps of the noise that a bias before batch norm has for a gradient.
    """
    torch.manual_seed(0)
    network = MLP(1, [8, 4], 1, batch_norm=True)
    if frozen:
        next(network.parameters()).requires_grad_(False)
    task = RegressionTask(network, nn.MSELoss(), partial(torch.optim.SGD, lr=0.001, momentum=0.9))
    executions = Executions(5) if part is None else Executions(5, "default", part)  # type: ignore[arg-type]
    trainer = Trainer(accelerator="cpu", max_epochs=3, callbacks=[executions], **(SILENT | options))
    trainer.fit(task, LineDataModule(num_points=64, batch_size=8))
    assert "loss_and_outputs" not in vars(task)
    return task.state_dict(), dict(trainer.callback_metrics)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "options",
    [
        {"frozen": True, "accumulate_grad_batches": 2},
        pytest.param({"gradient_clip_val": 0.1}, marks=pytest.mark.slow),
        pytest.param({"precision": "bf16-mixed"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_weights_and_metrics_are_those_of_the_plain_step(options: dict[str, Any]) -> None:
    plain, one_graph = trained(None, **options), trained("step", **options)
    tolerance: Any = {"rtol": 0.02, "atol": 0.02} if options.get("precision") == "bf16-mixed" else {}
    torch.testing.assert_close(one_graph[0], plain[0], **tolerance)
    torch.testing.assert_close(one_graph[1], plain[1], **tolerance)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU with g++")
def test_a_compiled_step_learns_the_same() -> None:
    plain, compiled = (trained(part, precision="64-true")[0] for part in (None, "step"))
    torch.testing.assert_close(compiled, plain, rtol=1e-9, atol=1e-12)


def test_a_step_of_its_own_is_refused() -> None:
    executions = Executions(compile_mode="default", compiled_part="step")
    with pytest.raises(ValueError, match="and BoringModel has its own: compile the network instead"):
        executions.setup(Trainer(accelerator="cpu"), BoringModel(), "fit")


def test_scaled_gradients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss())
    trainer = Trainer(accelerator="cpu", **SILENT)
    monkeypatch.setattr(type(trainer), "precision", "16-mixed")
    with pytest.raises(ValueError, match="does not scale gradients as 16-mixed does: choose bf16-mixed"):
        Executions(compile_mode="default", compiled_part="step").setup(trainer, task, "fit")


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss())
    trainer = Trainer(accelerator="cpu", **SILENT)
    monkeypatch.setattr(type(trainer), "world_size", 2)
    with pytest.raises(ValueError, match="a compiled step is for one process"):
        Executions(compile_mode="default", compiled_part="step").setup(trainer, task, "fit")


def test_a_compiled_step_needs_a_mode() -> None:
    with pytest.raises(ValueError, match="`compiled_part` needs a `compile_mode`, such as default"):
        Executions(compiled_part="step")

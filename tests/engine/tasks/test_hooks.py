"""Any hook of Lightning's may be overridden without `super()`: training comes out the same, to the bit."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.core.hooks import CheckpointHooks, DataHooks, ModelHooks
from torch import Tensor, nn

from lightning_template.datamodules import LineDataModule
from lightning_template.tasks import RegressionTask


def nothing(self: LightningModule, *args: Any, **kwargs: Any) -> None:
    return None


WITH_A_TASK: dict[str, Callable[..., Any]] = {
    "on_before_batch_transfer": lambda self, batch, dataloader_idx: batch,
    "on_after_batch_transfer": lambda self, batch, dataloader_idx: batch,
    "transfer_batch_to_device": lambda self, batch, device, dataloader_idx: tuple(part.to(device) for part in batch),
    "configure_callbacks": lambda self: [],
    "configure_optimizers": lambda self: torch.optim.SGD(self.parameters(), lr=0.01),
    "backward": lambda self, loss, *args, **kwargs: torch.autograd.backward(loss, *args, **kwargs),
    "optimizer_step": lambda self, epoch, batch_idx, optimizer, closure: optimizer.step(closure),
    "optimizer_zero_grad": lambda self, epoch, batch_idx, optimizer: optimizer.zero_grad(),
    "forward": lambda self, inputs: self.network(inputs),
    "on_validation_model_train": lambda self: self.train(),
}
"""Hooks that must do something, by what does it."""

NOT_HERE = {name for name in vars(DataHooks) if name.endswith("_dataloader")} | {"configure_sharded_model"}
"""Hooks that the datamodule has, and one that Lightning refuses beside `configure_model`, its new name."""
HOOKS = sorted(
    {
        name
        for kind in (ModelHooks, DataHooks, CheckpointHooks)
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in NOT_HERE
    }
    | WITH_A_TASK.keys()
    | {"configure_gradient_clipping", "configure_model", "setup", "teardown", "prepare_data", "on_fit_end"}
)


class Resettable(RegressionTask):
    """A task without hooks, which other tests subclass."""


def overriding(hooks: list[str], counts: dict[str, int]) -> type[RegressionTask]:
    """Return a class of tasks that overrides hooks, and counts their calls."""

    def counted(name: str) -> Callable[..., Any]:
        def hook(self: LightningModule, *args: Any, **kwargs: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            act: Callable[..., Any] = WITH_A_TASK.get(name, nothing)
            return act(self, *args, **kwargs)

        return hook

    return type("Overriding", (Resettable,), {name: counted(name) for name in hooks})


Outcome = tuple[dict[str, Tensor], dict[str, Tensor]]


def outcome(kind: type[RegressionTask], path: Path) -> Outcome:
    """Train and test a task; return its weights, as a checkpoint has them, and all metrics."""
    torch.manual_seed(0)
    task = kind(network=nn.Linear(1, 1), loss=nn.MSELoss(), optimizer=partial(torch.optim.SGD, lr=0.01))
    data = LineDataModule(batch_size=16, test_fraction=None)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    metrics = dict(trainer.callback_metrics)
    trainer.save_checkpoint(path)
    trainer.test(task, data, verbose=False)
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights, metrics | trainer.callback_metrics


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return outcome(RegressionTask, tmp_path_factory.mktemp("expected") / "last.ckpt")


def assert_same(kind: type[RegressionTask], expected: Outcome, path: Path) -> None:
    for one, other in zip(outcome(kind, path), expected, strict=True):
        assert one.keys() >= other.keys()
        for name, value in other.items():
            torch.testing.assert_close(one[name], value, rtol=0, atol=0, msg=name)


pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:You have overridden `.*` in")


def test_what_is_expected_is_complete(expected: Outcome) -> None:
    names = {f"{stage}/{name}" for stage in ("train", "val", "test") for name in ("loss", "mae", "mse", "r2")}
    assert expected[1].keys() >= names


OF_THE_BASE = ["setup", "on_train_epoch_end", "on_validation_epoch_end", "on_test_epoch_end"]


@pytest.mark.parametrize("hook", [*OF_THE_BASE, "on_save_checkpoint", "on_load_checkpoint", "on_train_batch_end"])
def test_a_hook_may_be_overridden(hook: str, expected: Outcome, tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    assert_same(overriding([hook], counts), expected, tmp_path / "last.ckpt")
    assert (hook in counts) == (hook != "on_load_checkpoint")


def test_all_hooks_may_be_overridden_together(expected: Outcome, tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    assert_same(overriding(HOOKS, counts), expected, tmp_path / "last.ckpt")
    assert len(counts) > 40


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_may_be_overridden(hook: str, expected: Outcome, tmp_path: Path) -> None:
    assert_same(overriding([hook], {}), expected, tmp_path / "last.ckpt")


class CallsSuper(RegressionTask):
    """Does as it is told elsewhere."""

    def setup(self, stage: str) -> None:
        super().setup(stage)

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()


class Mixin:
    """Overrides hooks from beside the task."""

    def setup(self, stage: str) -> None:
        self.stage = stage

    def on_validation_epoch_end(self) -> None:
        self.validated = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mixin"] = self.validated


class Mixed(Mixin, RegressionTask):
    """Has the hooks of both."""


class Inheriting(Mixed):
    """Has them from its base."""


@pytest.mark.parametrize("kind", [CallsSuper, Mixed, Inheriting])
def test_hooks_of_other_classes(kind: type[RegressionTask], expected: Outcome, tmp_path: Path) -> None:
    assert_same(kind, expected, tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)  # without the network that it was given
    assert checkpoint.get("mixin", False) == issubclass(kind, Mixin)

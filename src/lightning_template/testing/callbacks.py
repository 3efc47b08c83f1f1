"""Callbacks of the checks' own Trainers: record losses, repeat random numbers, restore weights."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_template.testing.exceptions import CheckFailed
from lightning_template.testing.isolation import seed_all


class LossRecorder(Callback):
    """Records the losses of training steps."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Record a loss.

        Raises:
            CheckFailed: If it cannot be differentiated.
        """
        if loss.numel() != 1:
            raise CheckFailed(
                f"the loss has shape {tuple(loss.shape)} and must be one number, which is what gradients are taken of: "
                'average it over the samples, often a forgotten `reduction="mean"`'
            )
        parameters = [*pl_module.parameters()]
        if not loss.requires_grad and parameters and not any(parameter.requires_grad for parameter in parameters):
            raise CheckFailed(
                f"all {len(parameters)} parameters are frozen, so nothing is learned: leave out "
                "`requires_grad_(False)` or `freeze()` for those that are to be trained"
            )
        if not loss.requires_grad:
            raise CheckFailed(
                "the loss does not require a gradient, so nothing is learned: "
                "look for `.detach()`, `.item()`, `torch.no_grad()` or `argmax` on its way"
            )
        self.values.append(loss.item())


class SameNumbers(Callback):
    """Makes each training step, and the start of each epoch, draw the same random numbers.

    Args:
        seed: Seed of the numbers.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed."""
        seed_all(self.seed)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed."""
        seed_all(self.seed)


class SameWeights(Callback):
    """Undoes the changes of each step, so that epochs differ by their samples alone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save weights and buffers; make optimizers call their closure and nothing else."""
        self.before = {name: tensor.detach().clone() for name, tensor in _tensors(pl_module)}
        for optimizer in trainer.optimizers:
            vars(optimizer)["step"] = _call_closure

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed."""
        seed_all(0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Restore weights and buffers, which not only optimizers change."""
        with torch.no_grad():
            for name, tensor in _tensors(pl_module):
                tensor.copy_(self.before[name])


def _tensors(task: LightningModule) -> list[tuple[str, Tensor]]:
    return [*task.named_parameters(), *task.named_buffers()]


def _call_closure(closure: Callable[[], Any] | None = None) -> Any:
    """Replace an optimizer's step, which may call its closure several times."""
    return closure() if closure is not None else None

"""Checks of gradients and of what optimizers do with them."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_template.testing.callbacks import SameWeights
from lightning_template.testing.checks.comparing import close, list_names
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject


def gradients_start_anew_each_step(subject: Subject) -> None:
    """With manual optimization, the gradients of a step are those of its batch alone."""
    task, seen = subject.task(), StepGradients()
    if task.automatic_optimization:
        raise CheckSkipped("Lightning zeroes the gradients: optimization is automatic")
    subject.fit(task, subject.train_batches[:1] * 2, callbacks=[SameWeights(), seen])
    first, second = seen.steps
    if not all(close(found, expected, 1e-4) for found, expected in zip(second, first, strict=False)):
        raise CheckFailed(
            "the same batch gives other gradients in a second step, so steps grow with what was seen before: call "
            "`optimizer.zero_grad()` before `manual_backward`"
        )


def optimizers_cover_parameters(subject: Subject) -> None:
    """Every trainable parameter is in exactly one optimizer."""
    task, seen = subject.task(), Gradients()
    trainer = subject.fit(task, subject.train_batches[:1], callbacks=[seen])
    optimizers = trainer.optimizers
    updated = [
        id(parameter) for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]
    ]
    trainable = [(name, id(parameter)) for name, parameter in task.named_parameters() if parameter.requires_grad]
    if missing := [name for name, key in trainable if key not in updated and name in seen.names]:
        raise CheckFailed(
            f"no optimizer has {list_names(missing)}, so training does not change it: hand all of `self.parameters()` "
            "to the optimizer, or freeze it with `requires_grad_(False)`"
        )
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if group["lr"] == 0]
    without_rate = {id(parameter) for group in groups for parameter in group["params"]}
    still = [name for name, key in trainable if key in without_rate and name in seen.names]
    # A schedule may begin at 0; of a rate that is 0 for all, `overfits_one_batch` tells.
    if still and not trainer.lr_scheduler_configs and len(without_rate) < len(set(updated)):
        raise CheckFailed(f"{list_names(still)} has learning rate 0, so training does not change it")
    if twice := [name for name, key in trainable if updated.count(key) > 1]:
        raise CheckFailed(f"several optimizers change {list_names(twice)}, each without knowing of the others")


class Gradients(Callback):
    """Records which parameters got a gradient, and which one that is not finite."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.not_finite: list[str] = []
        self.in_evaluation_mode: set[str] = set()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the gradients."""
        for name, parameter in pl_module.named_parameters():
            if not pl_module.get_submodule(name.rpartition(".")[0]).training:
                self.in_evaluation_mode.add(name)
            if parameter.grad is not None:
                self.names.add(name)
                if not parameter.grad.isfinite().all() and name not in self.not_finite:
                    self.not_finite.append(name)


class StepGradients(Callback):
    """Records the gradients that optimizers get in each training step."""

    def __init__(self) -> None:
        self.steps: list[list[Tensor]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin a step."""
        self.steps.append([])

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Record the gradients of an optimizer's parameters."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.steps[-1] += [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]

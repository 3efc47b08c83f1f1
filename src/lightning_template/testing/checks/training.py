"""Checks of a training step: batch, loss, gradients, optimizers."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_template.engine.callbacks.executions import Executions
from lightning_template.engine.process.errors import one_line
from lightning_template.testing.batches import first_batches, pair
from lightning_template.testing.callbacks import SameWeights
from lightning_template.testing.checks.comparing import close, equal, list_names, require_equal_states, state
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import MAX_BATCHES, Subject

OVERFITTING_STEPS = 20


def batch_fits_task(subject: Subject) -> None:
    """A training step takes the first batch, returns a loss to be differentiated, and pairs inputs with targets."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts and len(parts[0]) != len(parts[1]):
        raise CheckFailed(f"a batch has {len(parts[0])} inputs and {len(parts[1])} targets, so they are no pairs")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _require_training(subject, batch)
    for warning in caught:
        if "Using a target size" in str(warning.message):
            raise CheckFailed(
                f"outputs and targets differ in shape and are broadcast against each other: {warning.message} "
                "Every output is compared with every target: often a missing `squeeze(1)` or `unsqueeze(1)`"
            )
    if parts:
        _require_pairing(subject, *parts)


def loss_is_finite(subject: Subject) -> None:
    """The loss of the first batches is a finite number."""
    losses = subject.losses(subject.task(), subject.train_batches)
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise CheckFailed(
                f"the loss of step {step} is {loss}, and so will be all weights: often the logarithm of 0, a "
                "division by 0, inputs that are not scaled, or too large a learning rate"
            )


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    """Every parameter that requires a gradient gets one, and a finite one."""
    task, seen = subject.task(), Gradients()
    before = state(task)
    # With manual optimization, some parameters have their turn after several steps.
    subject.fit(task, subject.train_batches * (1 if task.automatic_optimization else 4), callbacks=[seen])
    trainable = [name for name, parameter in task.named_parameters() if parameter.requires_grad]
    still = [name for name in trainable if name in before and equal(before[name], state(task)[name])]
    # A copy of weights changes without gradients; layers in evaluation mode are not meant to be trained.
    if without := [name for name in still if name not in seen.names and name not in seen.in_evaluation_mode]:
        if _matter(subject, without):
            raise CheckFailed(
                f"no gradient reaches {list_names(without)}, on which the loss depends, so training does not change "
                "it: `detach`, `no_grad` or `.data` after it; if that is meant, freeze it with `requires_grad_(False)`"
            )
        raise CheckAdvised(
            f"the loss does not depend on {list_names(without)}, so training does not change it, and several ranks "
            "fail: a layer that is not used"
        )
    if seen.not_finite:
        raise CheckFailed(
            f"the gradient of {list_names(seen.not_finite)} is not finite, and so will be the weights: "
            "often a square root or logarithm at 0"
        )


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
    optimizers = subject.fit(task, subject.train_batches[:1], callbacks=[seen]).optimizers
    updated = [
        id(parameter) for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]
    ]
    trainable = [(name, id(parameter)) for name, parameter in task.named_parameters() if parameter.requires_grad]
    if missing := [name for name, key in trainable if key not in updated and name in seen.names]:
        raise CheckFailed(
            f"no optimizer has {list_names(missing)}, so training does not change it: hand all of `self.parameters()` "
            "to the optimizer, or freeze it with `requires_grad_(False)`"
        )
    if twice := [name for name, key in trainable if updated.count(key) > 1]:
        raise CheckFailed(f"several optimizers change {list_names(twice)}, each without knowing of the others")


def overfits_one_batch(subject: Subject) -> None:
    """The loss falls when the task's own optimizer makes a few steps on one batch."""
    losses = subject.losses(subject.task(), subject.train_batches[:1] * OVERFITTING_STEPS)
    first, last = losses[0], min(losses[-5:])
    if not last < first - 1e-4 * abs(first):
        _require_one_optimizer_without_warmup(subject)
        raise CheckFailed(
            f"{OVERFITTING_STEPS} steps on one batch take the loss from {first:.6g} to {last:.6g} only: the learning "
            "rate is 0, far too small or too large, the loss has the wrong sign, or gradients do not reach the weights"
        )


def steps_per_execution_changes_nothing(subject: Subject) -> None:
    """Several steps in one execution give the weights of single steps, to the bit."""
    states = {}
    for steps in (1, MAX_BATCHES):
        task = subject.task()
        subject.fit(task, subject.train_batches * MAX_BATCHES, callbacks=[Executions(steps)])
        states[steps] = state(task)
    require_equal_states(
        states[1],
        states[MAX_BATCHES],
        f"with `callbacks.executions.steps` {MAX_BATCHES} instead of 1",
        "a step depends on what is logged or displayed",
    )


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


def _first_loss(subject: Subject, batch: Any, **options: Any) -> float:
    return subject.losses(subject.task(), [batch], **options)[0]


def _require_training(subject: Subject, batch: Any) -> None:
    """Require a training step to take a batch, or at least the whole one that was cut."""
    try:
        subject.losses(subject.task(), [batch])
    except CheckFailed:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {one_line(error)}"
        try:
            subject.losses(subject.task(), first_batches(subject.data.train_dataloader(), 1))
        except Exception:
            raise CheckFailed(f"training fails at the first batch: {message}") from error
        raise CheckSkipped(f"a step takes whole batches only: {message}") from error


def _matter(subject: Subject, names: Sequence[str]) -> bool:
    """Tell whether the loss depends on parameters."""
    task = subject.task()
    with torch.no_grad():
        for name in names:
            task.get_parameter(name).add_(1.0)
    batch = subject.train_batches[0]
    return not _same(subject.losses(task, [batch])[0], _first_loss(subject, batch))


def _require_one_optimizer_without_warmup(subject: Subject) -> None:
    """Skip the comparison of losses where they need not fall."""
    optimizers = subject.fit(subject.task(), subject.train_batches[:1]).optimizers
    if len(optimizers) > 1:
        raise CheckSkipped("several optimizers may work against each other, so no loss need fall")
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if group["lr"] < 0.1 * group.get("initial_lr", 0):
            raise CheckSkipped(f"the learning rate starts at {group['lr']:.3g} and grows")


def _require_pairing(subject: Subject, inputs: Tensor, targets: Tensor) -> None:
    """Require the loss to change when inputs get each other's targets."""
    try:
        (outputs, *_) = subject.outputs(subject.task(), [inputs, targets])
    except Exception:  # `forward` is not defined, or takes something else
        return
    if outputs.ndim == 0 or close(outputs, outputs[:1].expand_as(outputs), 1e-3):
        return  # nothing can be told where a last layer starts at 0
    if targets.is_floating_point() and targets.numel() == outputs.numel():
        # Of targets that all lie on one side of the outputs, the mean absolute error is the same in any order.
        generator = torch.Generator().manual_seed(0)
        targets = 1000 * torch.randn(targets.shape, generator=generator, dtype=targets.dtype)
    rotated = targets.roll(1, 0)
    if torch.equal(rotated, targets):
        return
    # In double precision, where sums of the same terms in another order are alike, and hardly any others are.
    try:
        loss, other_loss, one_target_loss = (
            _first_loss(subject, [inputs, others], precision="64-true")
            for others in (targets, rotated, targets[:1].expand_as(targets))
        )
    except RuntimeError:  # a task that creates tensors in single precision
        return
    if math.isclose(loss, other_loss, rel_tol=1e-10) and not _same(loss, one_target_loss):
        # a loss that depends on no target at all, as an autoencoder's, is sound
        raise CheckFailed(
            "the loss stays the same when inputs get each other's targets, so nothing can be learned but a mean: "
            "outputs (N, 1) against targets (N,) are broadcast to (N, N); give both one shape"
        )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5)

"""Checks of a training step: batch, loss, gradients, optimizers."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from lightning_template.engine.callbacks.executions import Executions
from lightning_template.engine.libraries.torch_private import FirstNotFinite
from lightning_template.engine.process.errors import one_line
from lightning_template.testing.batches import first_batches, leaves_of, pair, replaced
from lightning_template.testing.checks.comparing import close, equal, list_names, require_equal_states, state
from lightning_template.testing.checks.gradients import Gradients
from lightning_template.testing.checks.layers import OVERFITTING_STEPS, overfitted
from lightning_template.testing.checks.losses import class_scores
from lightning_template.testing.checks.standstill import cause_of_standstill
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.places import place_of_call, place_of_error
from lightning_template.testing.subject import MAX_BATCHES, Subject


def batch_fits_task(subject: Subject) -> None:
    """A training step takes the first batch, returns a loss to be differentiated, and pairs inputs with targets."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts and len(parts[0]) != len(parts[1]):
        raise CheckFailed(f"a batch has {len(parts[0])} inputs and {len(parts[1])} targets, so they are no pairs")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _require_training(subject, subject.train_batches[:2])
    for warning in caught:
        if "Using a target size" in str(warning.message):
            raise CheckFailed(
                f"outputs and targets differ in shape and are broadcast against each other: {warning.message} "
                "Every output is compared with every target: often a missing `squeeze(1)` or `unsqueeze(1)`"
            )
    if parts:
        _require_pairing(subject, batch, parts[1])


def loss_is_finite(subject: Subject) -> None:
    """The loss of the first batches is a finite number."""
    losses = subject.losses(subject.task(), subject.train_batches)
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            _require_finite_batch(subject.train_batches[step], step)
            with FirstNotFinite(place_of_call) as seen:
                subject.losses(subject.task(), subject.train_batches[: step + 1])
            raise CheckFailed(
                f"the loss of step {step} is {loss}, and so will be all weights: {seen.found or 'an operator'} of "
                "finite numbers; often a logarithm or division at 0, inputs that are not scaled, too large a learning "
                "rate, or half precision, which ends at 65504",
                seen.place,
            )


def _require_finite_batch(batch: Any, step: int) -> None:
    """Require the numbers of a batch to be finite, where a loss is not."""
    for number, leaf in enumerate(leaves_of(batch)):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and not leaf.isfinite().all():
            place = (~leaf.isfinite()).nonzero()[0].tolist()
            raise CheckFailed(
                f"tensor {number} of batch {step} has {leaf[tuple(place)].item()} at {place} (sample {place[0]}), so "
                "the loss is not finite, and so will be all weights: fill missing values, or leave their samples out"
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


def overfits_one_batch(subject: Subject) -> None:
    """The loss falls when the task's own optimizer makes a few steps on one batch."""
    losses = subject.once(overfitted).losses
    first, last = losses[0], min(losses[-5:])
    if not last < first - 1e-4 * abs(first):
        _require_one_optimizer_without_warmup(subject)
        raise CheckFailed(
            f"{OVERFITTING_STEPS} steps on one batch take the loss from {first:.6g} to {last:.6g} only: "
            f"{cause_of_standstill(subject, losses)}"
        )
    _require_better_outputs(subject, first, last)


def _require_better_outputs(subject: Subject, first: float, last: float) -> None:
    """Advise where outputs go away from their classes while the loss falls."""
    batch = subject.train_batches[0]
    try:
        outputs, targets = class_scores(subject, batch)
        after = subject.outputs(copy.deepcopy(subject.once(overfitted).task), batch, training=True)[0].float()
    except Exception:  # such outputs are not known: nothing can be told
        return
    before, now = F.cross_entropy(outputs, targets).item(), F.cross_entropy(after, targets).item()
    if now > 1.1 * before + 0.05:
        raise CheckAdvised(
            f"{OVERFITTING_STEPS} steps on one batch take the loss from {first:.6g} to {last:.6g}, and the "
            f"cross-entropy of outputs and targets from {before:.6g} to {now:.6g}: often a wrong sign"
        )


def steps_per_execution_changes_nothing(subject: Subject) -> None:
    """Several steps in one execution give the weights of single steps, to the bit."""
    states = {}
    for steps in (1, MAX_BATCHES):
        task = subject.task()
        batches = subject.train_batches * MAX_BATCHES
        subject.fit(task, batches, callbacks=[Executions(steps)], log_every_n_steps=MAX_BATCHES)
        states[steps] = state(task)
    require_equal_states(
        states[1],
        states[MAX_BATCHES],
        f"with `callbacks.executions.steps` {MAX_BATCHES} instead of 1",
        "a step depends on what is logged or displayed",
    )


def _first_loss(subject: Subject, batch: Any, **options: Any) -> float:
    return subject.losses(subject.task(), [batch], **options)[0]


def _require_training(subject: Subject, batches: Sequence[Any]) -> None:
    """Require training steps to take batches, or at least the whole ones that were cut."""
    try:
        subject.losses(subject.task(), batches)
    except CheckFailed:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {one_line(error)}"
        try:
            subject.losses(subject.task(), first_batches(subject.data.train_dataloader(), len(batches)))
        except Exception:
            raise CheckFailed(f"training fails at the first batches: {message}", place_of_error(error)) from error
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


def _require_pairing(subject: Subject, batch: Any, targets: Tensor) -> None:
    """Require the loss to change when inputs get each other's targets."""
    try:
        (outputs, *_) = subject.outputs(subject.task(), batch)
    except Exception:  # `forward` is not defined, or takes something else
        return
    if outputs.ndim == 0 or close(outputs, outputs[:1].expand_as(outputs), 1e-3):
        return  # nothing can be told where a last layer starts at 0
    given = targets
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
            _first_loss(subject, replaced(batch, given, others), precision="64-true")
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

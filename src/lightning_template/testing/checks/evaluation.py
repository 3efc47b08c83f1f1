"""Checks of evaluation: modes, random numbers, leaks between samples."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn

import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lightning_template.engine.libraries.torch_private import DROPOUT, NORMALIZATION, RandomOperators
from lightning_template.engine.process.errors import one_line
from lightning_template.testing.batches import num_samples, take
from lightning_template.testing.checks.comparing import (
    close,
    close_numbers,
    difference,
    equal,
    list_names,
    require_equal_states,
    state,
)
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.places import place_of_error
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import quiet_trainer

WITH_MODES = (DROPOUT, NORMALIZATION)
"""Modules that do something else in training than in evaluation."""


def modes_are_right(subject: Subject) -> None:
    """Dropout and batch normalisation are in training mode in training, and in evaluation mode in validation."""
    task = subject.task()
    modules = {name: module for name, module in task.named_modules() if isinstance(module, WITH_MODES)}
    if not modules:
        raise CheckSkipped("neither dropout nor batch normalisation")
    if not task.training:
        raise CheckFailed(
            "the whole task is in evaluation mode when training starts, and Lightning leaves it so: dropout and batch "
            "normalisation do nothing; leave out `eval()` in the constructor"
        )
    meant_to_train = {name for name, module in modules.items() if module.training}
    if still := [name for name in meant_to_train if getattr(modules[name], "momentum", None) == 0]:
        raise CheckFailed(
            f"{list_names(still)} has momentum 0, so its running mean stays 0 and its variance 1, and evaluation "
            "normalises with these: in PyTorch, momentum is the weight of the new batch, usually 0.1"
        )
    wrong: dict[str, list[str]] = {"training": [], "evaluation": []}

    def look(name: str, module: nn.Module, _: Any) -> None:
        training = task.trainer.training
        if module.training != (training and name in meant_to_train):
            wrong["training" if training else "evaluation"].append(name)

    for name, module in modules.items():
        module.register_forward_pre_hook(partial(look, name))
    subject.fit(task, *[subject.train_batches] * 2)
    for stage, names in wrong.items():
        if names:
            raise CheckFailed(
                f"{list_names([*dict.fromkeys(names)])} ran in the wrong mode in {stage}, so its results are those of "
                "something else: leave `train()` and `eval()` to Lightning"
            )


def evaluation_takes_batches(subject: Subject) -> None:
    """Steps of validation and test take the first batch."""
    for stage in ("val", "test"):
        step = {"val": "validation_step", "test": "test_step"}[stage]
        loaders = subject.loaders(subject.data, stage) if is_overridden(step, subject.once(Subject.task)) else []
        if not loaders:
            continue
        trainer = quiet_trainer(limit_val_batches=1, limit_test_batches=1)
        run = trainer.validate if stage == "val" else trainer.test
        seed_all(0)
        try:
            run(subject.task(), datamodule=subject.data_with(), verbose=False)
        except Exception as error:
            raise CheckFailed(
                f"`{step}` fails at the first batch: {type(error).__name__}: {one_line(error)}", place_of_error(error)
            ) from error


def evaluation_changes_nothing(subject: Subject) -> None:
    """Validation changes no weight and no buffer, and freezes nothing."""
    task = subject.task()
    before = state(task)
    trainable = {name for name, parameter in task.named_parameters() if parameter.requires_grad}
    subject.validate(task, subject.val_batches)
    if _shapes(before) != _shapes(state(task)):  # `setup` or `configure_model` has made layers
        before = state(task)
        subject.validate(task, subject.val_batches)
    if frozen := [name for name, p in task.named_parameters() if name in trainable and not p.requires_grad]:
        raise CheckFailed(
            f"{list_names(frozen)} requires no gradient after validation, so training ends with the first one: "
            "`freeze()` and `requires_grad_(False)` last; Lightning switches gradients off itself"
        )
    require_equal_states(
        before,
        state(task),
        "after validation",
        "it may only look; batch normalisation in training mode changes buffers",
    )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def evaluation_is_deterministic(subject: Subject) -> None:
    """In evaluation mode, outputs and metrics do not depend on random numbers."""
    task = subject.task()
    has_forward, validates = is_overridden("forward", task), subject.validates(task)
    if not (has_forward or validates):
        raise CheckSkipped("the task defines no `forward`, and there is no validation")
    if has_forward:
        batch, drawn = subject.train_batches[0], RandomOperators()
        with drawn:
            one, other = (subject.outputs(task, batch, seed=seed) for seed in (0, 1))
        for found, expected in zip(one, other, strict=True):
            if not equal(found, expected):
                _tell_random(f"`forward` returns something else each time, {difference(found, expected)}", drawn.names)
    if validates:
        drawn = RandomOperators()
        with drawn:
            first, second = (subject.validate(task, subject.val_batches, seed) for seed in (0, 1))
        wrong = [name for name, value in first.items() if not close_numbers(value, second.get(name, value))]
        if wrong:
            name = wrong[0]
            _tell_random(f"`{name}` is {first[name]:.6g} and then {second[name]:.6g}", drawn.names)


def _tell_random(what: str, drawn: set[str]) -> NoReturn:
    """Tell that random numbers take part: a mistake if they are those of dropout, or else maybe meant."""
    if "bernoulli_" in drawn:
        raise CheckFailed(
            f"in evaluation mode {what}: dropout takes part in evaluation; call it with `training=self.training`"
        )
    operators = f" ({list_names(sorted(drawn))})" if drawn else ""
    raise CheckAdvised(
        f"in evaluation mode {what}: random numbers are drawn{operators}, which is right for a model that samples, and "
        "otherwise noise that no evaluation should have"
    )


def samples_are_independent(subject: Subject) -> None:
    """In evaluation mode, the outputs of a sample do not depend on the other samples of its batch."""
    batch = subject.train_samples
    half = num_samples(batch) // 2
    if half == 0:
        raise CheckSkipped("there are fewer than 2 samples")
    task = subject.task()
    with RandomOperators() as drawn:
        one, other, fewer = (
            subject.outputs(task, take(batch, indices))
            for indices in ([*range(2 * half)], [*range(half), *range(half)], [*range(half)])
        )
    if drawn.names:
        raise CheckSkipped("`forward` draws random numbers")
    for found, expected, of_half in zip(one, other, fewer, strict=True):
        if found.ndim == 0 or len(found) % (2 * half) or found.shape[1:] != of_half.shape[1:]:
            raise CheckSkipped("`forward` does not return outputs for each sample")
        rows = len(found) // 2
        if not close(found[:rows], expected[:rows], 1e-5):
            raise CheckFailed(
                "the outputs of a sample depend on the others in its batch, so scores depend on the batch size and "
                f"labels leak: with other samples beside it, {difference(found[:rows], expected[:rows])}. Often a "
                "softmax or mean over dimension 0, or batch statistics in evaluation mode"
            )

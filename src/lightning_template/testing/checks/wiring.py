"""Checks of what a training step is wired to: layers, targets, random numbers, schedules."""

import re
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_template.testing.batches import pair
from lightning_template.testing.checks.comparing import close_numbers, list_names
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.subject import Subject

MAX_COLUMNS = 16
BETTER_IF_SMALL = r"loss|error|mse|mae|perplexity"
BETTER_IF_LARGE = r"acc|accuracy|f1|auc|auroc|r2|iou|dice|precision|recall"


def every_target_matters(subject: Subject) -> None:
    """Each column of the targets changes the loss, or none does."""
    batch = subject.train_batches[0]
    parts = pair(batch)
    if parts is None or not parts[1].is_floating_point() or parts[1].ndim != 2 or parts[1].shape[1] < 2:
        raise CheckSkipped("known only for targets of several numbers")
    inputs, targets = parts
    expected = subject.losses(subject.task(), [batch])[0]
    columns = range(min(targets.shape[1], MAX_COLUMNS))
    ignored = []
    for column in columns:
        changed = targets.clone()
        changed[:, column] = 1 - changed[:, column]
        if close_numbers(subject.losses(subject.task(), [[inputs, changed]])[0], expected):
            ignored.append(column)
    if ignored and len(ignored) < len(columns):
        raise CheckFailed(
            f"the loss stays {expected:.6g} when columns {ignored} of the targets change, so they are not learned: "
            "an index or slice in the loss leaves them out"
        )


def steps_leave_the_seed(subject: Subject) -> None:
    """A training step sets no seed."""
    seen = AfterSteps()
    subject.fit(subject.task(), [subject.train_batches[0]] * 2, callbacks=[seen])
    if len(set(seen.numbers)) < len(seen.numbers):
        raise CheckFailed(
            f"after each training step the next random number is {seen.numbers[0]:.6g}, whatever it was before: the "
            "step sets a seed, so dropout and augmentation repeat; set seeds once, before training"
        )


def layers_are_made_once(subject: Subject) -> None:
    """No training step after the first one makes new weights."""
    seen = NewWeights()
    handle = register_module_parameter_registration_hook(seen.register)
    try:
        subject.fit(subject.task(), [subject.train_batches[0]] * 2, callbacks=[seen])
    finally:
        handle.remove()
    if seen.names:
        raise CheckFailed(
            f"each training step makes new weights, {list_names(sorted(seen.names))}, which are never trained: "
            "make layers in the constructor"
        )


def plateau_has_the_right_mode(subject: Subject) -> None:
    """A schedule that waits for a plateau knows whether what it watches is better when it is small."""
    trainer = subject.fit(subject.task(), subject.train_batches[:1])
    watching = [c for c in trainer.lr_scheduler_configs if isinstance(c.scheduler, ReduceLROnPlateau)]
    if not watching:
        raise CheckSkipped("no ReduceLROnPlateau")
    for config in watching:
        scheduler: Any = config.scheduler
        words = re.split(r"[^a-z0-9]+", str(config.monitor).lower())
        for mode, others in (("max", BETTER_IF_SMALL), ("min", BETTER_IF_LARGE)):
            if scheduler.mode == mode and any(re.fullmatch(others, word) for word in words):
                raise CheckFailed(
                    f"ReduceLROnPlateau has mode {mode!r} and watches `{config.monitor}`, so it lowers the learning "
                    "rate while training goes well: give it the other mode"
                )


class AfterSteps(Callback):
    """Seeds each step otherwise, and draws a number after it."""

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed."""
        seed_all(100 + batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw."""
        self.numbers.append(torch.rand(1).item())


class NewWeights(Callback):
    """Records the weights that are made in training steps after the first one."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.is_watching = False

    def register(self, module: nn.Module, name: str, parameter: Any) -> None:
        """Record a weight."""
        if self.is_watching:
            self.names.add(f"{type(module).__name__}.{name}")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Watch from the second step on."""
        self.is_watching = batch_idx > 0

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop watching."""
        self.is_watching = False

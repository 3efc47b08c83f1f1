"""Checks of what a training step is wired to: layers, targets, random numbers, schedules."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lightning_template.testing.batches import ReplayLoader, copied, first_batches, leaves_of
from lightning_template.testing.checks.comparing import difference, equal, list_names
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.places import place_of
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import quiet_trainer


def steps_leave_the_seed(subject: Subject) -> None:
    """Training steps, the hooks of epochs, and the loaders set no seed."""
    seen = AfterSteps()
    subject.fit(subject.task(), *[[subject.train_batches[0]] * 2] * 2, callbacks=[seen])
    for what, numbers in seen.numbers.items():
        if len(set(numbers)) < len(numbers):
            message = (
                f"after each {what} the next random number is {numbers[0]:.6g}, whatever it was before: it sets a "
                "seed, so dropout, augmentation and order repeat; set seeds once, before training"
            )
            raise (CheckAdvised if what == "validation" else CheckFailed)(message)
    drawn = []
    for seed in (101, 102):
        data = subject.data
        seed_all(seed)
        first_batches(data.train_dataloader(), 1)
        drawn.append(torch.rand(1).item())
    if drawn[0] == drawn[1]:
        raise CheckFailed(
            f"after a batch is read the next random number is {drawn[0]:.6g}, whatever it was before: the loader or "
            "the dataset sets a seed, so dropout and augmentation repeat; use a generator instead",
            place_of(getattr(data.train_dataloader(), "dataset", None), "__getitem__"),
        )


def steps_leave_their_batch(subject: Subject) -> None:
    """A training step does not change its batch, or at least not the data that the batch was made of."""
    seen = BatchChanges()
    subject.fit(subject.task(), subject.train_batches[:1], callbacks=[seen])
    if not seen.changed:
        return
    data = subject.new_data()
    seed_all(0)
    before = copied(first_batches(data.train_dataloader(), 1)[0])
    seed_all(0)
    batch = first_batches(data.train_dataloader(), 1)[0]
    loader = ServesThis([batch])
    quiet_trainer(max_epochs=1).fit(subject.task(), train_dataloaders=loader)
    seed_all(0)
    again = first_batches(data.train_dataloader(), 1)[0]
    for found, expected in zip(leaves_of(again), leaves_of(before), strict=True):
        if isinstance(found, Tensor) and not equal(found, expected):
            raise CheckFailed(
                f"a training step changes the data, {difference(found, expected)}: it works on its batch in place "
                "(`-=`, `div_`, `x[mask] = 0`), and the loader hands out the data themselves; each epoch sees others"
            )
    raise CheckAdvised(
        f"a training step changes its batch in place, {seen.changed}: this loader hands out copies, so the data stay; "
        "callbacks and metrics see the changed batch"
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


class AfterSteps(Callback):
    """Seeds each step and validation otherwise, and draws a number after it."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[float]] = {}

    def _seed(self, what: str) -> None:
        seed_all(100 + len(self.numbers.setdefault(what, [])))

    def _draw(self, what: str) -> None:
        self.numbers[what].append(torch.rand(1).item())

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed, before the task's own hook."""
        self._seed("start of an epoch")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Draw what the start of an epoch left, and seed."""
        if batch_idx == 0:
            self._draw("start of an epoch")
        self._seed("training step")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw."""
        self._draw("training step")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed."""
        self._seed("validation")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw."""
        self._draw("validation")


class BatchChanges(Callback):
    """Compares a batch before and after its step."""

    changed = ""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Copy it."""
        self.before = leaves_of(copied(batch))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare."""
        for found, expected in zip(leaves_of(batch), self.before, strict=False):
            if isinstance(found, Tensor) and not equal(found, expected):
                self.changed = difference(found, expected)


class ServesThis(ReplayLoader):
    """A loader that hands out a batch itself, and no copy."""

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__([batches])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.epochs[0])


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

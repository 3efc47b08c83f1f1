"""Checks of learning-rate schedules, and of callbacks that watch a metric."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from lightning_template.engine.libraries.torch_private import parts_of_schedule
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject

BETTER_IF_SMALL = r"loss|error|err|mse|mae|rmse|mape|perplexity|ppl|nll|ce|bce|wer|cer|fid"
BETTER_IF_LARGE = r"acc|accuracy|f1|auc|auroc|r2|iou|miou|dice|precision|recall|map|bleu|rouge|psnr|ssim|kappa|mcc"
TURNED_ROUND = {"neg", "negative", "minus", "inverse"}
HORIZONS = ("total_steps", "T_max", "total_iters", "step_size")
"""Attributes of schedules that count steps or epochs."""


def plateau_has_the_right_mode(subject: Subject) -> None:
    """What waits for a better metric knows whether the metric is better when it is small."""
    trainer = subject.fit(subject.task(), subject.train_batches[:1])
    watching = [
        (f"ReduceLROnPlateau has mode {config.scheduler.mode!r}", config.monitor, config.scheduler.mode)
        for config in trainer.lr_scheduler_configs
        if isinstance(config.scheduler, ReduceLROnPlateau)
    ]
    watching += [
        (f"{type(callback).__name__} has mode {callback.mode!r}", callback.monitor, callback.mode)
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and callback.monitor
    ]
    if not watching:
        raise CheckSkipped("no ReduceLROnPlateau, and no callback of the task that watches a metric")
    for who, monitor, mode in watching:
        words = set(re.split(r"[^a-z0-9]+", str(monitor).lower()))
        for wrong, others in (("max", BETTER_IF_SMALL), ("min", BETTER_IF_LARGE)):
            if mode == wrong and words.isdisjoint(TURNED_ROUND) and any(re.fullmatch(others, word) for word in words):
                raise CheckFailed(
                    f"{who} and watches `{monitor}`, so it takes training that goes well for training that does not: "
                    "give it the other mode"
                )


def schedule_counts_what_it_means(subject: Subject) -> None:
    """A schedule that is stepped after each batch counts batches, and one that is stepped after each epoch epochs."""
    prepared = [_prepared(subject, *size) for size in ((3, 50), (3, 20), (5, 50))]
    if not prepared[0]:
        _require_schedules_to_be_used(subject)
        raise CheckSkipped("no schedule")
    length = _num_batches(subject)
    for one, fewer_batches, more_epochs in zip(*prepared, strict=True):
        if isinstance(one.scheduler, ReduceLROnPlateau) or one.frequency != 1:
            continue
        horizon = _horizon(one.scheduler)
        counts = f"{type(one.scheduler).__name__} counts {horizon} " if horizon else "the schedule counts "
        rates = _rates(one.scheduler, 5 * length + 3000)
        by_batches, by_epochs = (
            rates != _rates(other.scheduler, 5 * length + 3000) for other in (fewer_batches, more_epochs)
        )
        if one.interval == "epoch" and by_batches:
            raise CheckFailed(
                f"{counts}steps for 3 epochs of 50 batches, and is stepped once an epoch, so it stays near its start: "
                'return {"scheduler": ..., "interval": "step"}'
            )
        if one.interval == "step" and by_epochs and not by_batches:
            raise CheckFailed(
                f"{counts}epochs, and is stepped after each batch, so it is over long before training is: return "
                '{"scheduler": ..., "interval": "epoch"}'
            )
        if not by_batches and not by_epochs and length > 1:
            _require_epochs_to_last(one, rates, length) if one.interval == "epoch" else _require_steps_to_last(
                one, rates, length
            )


def _require_epochs_to_last(config: Any, rates: list[float], length: int) -> None:
    """Require a schedule that is stepped once an epoch not to count the batches of epochs of so many."""
    name, horizon = type(config.scheduler).__name__, _horizon(config.scheduler)
    if horizon >= 100 and length > 10 and horizon % length == 0:
        raise CheckFailed(
            f"{name} counts {horizon} = {horizon // length} x {length} steps, the batches of {horizon // length} "
            f'epochs, and is stepped once an epoch: return {{"scheduler": ..., "interval": "step"}}'
        )
    start = rates[:21]
    if start == sorted(set(start)) and start[-1] < 0.1 * max(rates):
        raise CheckFailed(
            f"{name} starts at a learning rate of {start[0]:.3g}, and reaches {start[-1]:.3g} after 20 epochs, of "
            f'{max(rates):.3g}: a warm-up in steps, stepped once an epoch; return {{..., "interval": "step"}}'
        )


def _require_steps_to_last(config: Any, rates: list[float], length: int) -> None:
    """Require a schedule that is stepped after each batch not to be over within epochs of so many."""
    name, horizon = type(config.scheduler).__name__, _horizon(config.scheduler)
    half, some = length // 2, 5 * length
    if length >= 4 and max(rates[half:], default=0) < 0.011 * rates[0]:
        raise CheckFailed(
            f"{name} takes the learning rate from {rates[0]:.3g} to {rates[half]:.3g} within half an epoch, {half} "
            'batches: stepped after each batch, and meant for epochs; return {..., "interval": "epoch"}'
        )
    if isinstance(config.scheduler, CosineAnnealingLR) and 2 * horizon <= length:
        raise CheckFailed(
            f"CosineAnnealingLR falls for {horizon} steps and rises again, {length / horizon / 2:.3g} times in an "
            f'epoch of {length} batches: meant for epochs; return {{"scheduler": ..., "interval": "epoch"}}'
        )
    ends = isinstance(config.scheduler, CosineAnnealingLR | OneCycleLR) and horizon < some
    if ends or max(rates[some:], default=0) < 0.011 * max(rates[:some]):
        raise CheckAdvised(
            f"{name} is over within 5 epochs of {length} batches: right for so short a training alone; if it is meant "
            "for epochs, give the interval `epoch`"
        )


def _horizon(scheduler: Any) -> int:
    """Return how many steps or epochs a schedule, or the longest of its parts, counts; 0 if that is not known."""
    found = [getattr(part, name, 0) for part in parts_of_schedule(scheduler) for name in HORIZONS]
    found += [max(getattr(part, "milestones", None) or [0]) for part in parts_of_schedule(scheduler)]
    return int(max(found))


def _rates(scheduler: Any, number: int) -> list[float]:
    """Return the learning rates of so many further steps; fewer where a schedule ends."""
    group = scheduler.optimizer.param_groups[0]
    rates = [float(group["lr"])]
    with suppress(ValueError):  # a one-cycle schedule that is over
        for _ in range(number):
            scheduler.step()
            rates.append(float(group["lr"]))
    return rates


def _num_batches(subject: Subject) -> int:
    try:
        return len(subject.data.train_dataloader())
    except TypeError:  # a stream
        return 0


class Prepared(Exception):  # noqa: N818  # it is no error
    """Ends a fit when optimizers and schedules are made."""


class StopAtStart(Callback):
    """Keeps the schedules, and ends the fit before its first step."""

    configs: Sequence[Any] = ()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep them."""
        self.configs = trainer.lr_scheduler_configs
        raise Prepared


def _prepared(subject: Subject, num_epochs: int, num_batches: int) -> Sequence[Any]:
    """Return the schedules of a training of so many epochs, each of so many batches."""
    keep = StopAtStart()
    with suppress(Prepared):
        subject.fit(subject.task(), *[subject.train_batches[:1] * num_batches] * num_epochs, callbacks=[keep])
    return keep.configs


def _require_schedules_to_be_used(subject: Subject) -> None:
    """Require a schedule that was made and not returned to be stepped by the task."""
    made: list[Any] = []
    undo = _watch_construction(made.append)
    try:
        trainer = subject.fit(subject.task(), *[subject.train_batches] * 3)
    finally:
        undo()
    optimizers = {id(optimizer) for optimizer in trainer.optimizers}
    unused = [s for s in made if id(s.optimizer) in optimizers and s.last_epoch <= 0]
    if unused and not any(s.last_epoch > 0 for s in made):
        raise CheckFailed(
            f"`configure_optimizers` makes {type(unused[0]).__name__}, does not return it, and nothing steps it in 3 "
            'epochs, so the learning rate stays: return {"optimizer": ..., "lr_scheduler": ...}'
        )


def _watch_construction(record: Callable[[LRScheduler], None]) -> Callable[[], None]:
    """Record each schedule that is made from now on, until what is returned is called."""
    constructor = LRScheduler.__init__

    def init(self: LRScheduler, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        record(self)
        constructor(self, optimizer, *args, **kwargs)

    LRScheduler.__init__ = init  # type: ignore[method-assign]

    def undo() -> None:
        LRScheduler.__init__ = constructor  # type: ignore[method-assign]

    return undo

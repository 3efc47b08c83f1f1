"""Schedules get what is not given: lengths, shares of them, a mode. Rates are those of torch used by hand."""

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import cli
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

import moved_schedules
from lightning_template.engine.tasks.schedules import make_schedule
from lightning_template.schedules import Warmup
from lightning_template.tasks import RegressionTask

Make = Callable[[Optimizer], Any]
EPOCHS, STEPS = 8, 5  # 40 optimizer steps
SEQUENTIAL: Any = SequentialLR  # of any types, as YAML and `functools.partial` give them
CHAINED: Any = ChainedScheduler
WARMUP: Any = Warmup
COSINE: Any = CosineAnnealingLR
partial: Any = functools.partial


def made(schedule: Any, interval: Any = "epoch", **trainer: Any) -> Any:
    """Return the optimizer and the schedules of a task, as Lightning takes them."""
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=0.5), schedule, interval)
    options = {
        "max_epochs": EPOCHS,
        "estimated_stepping_batches": EPOCHS * STEPS,
        "num_training_batches": STEPS,
        "accumulate_grad_batches": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RegressionTask, "trainer", SimpleNamespace(**options | trainer))
        found: Any = task.configure_optimizers()
    return found if isinstance(found, tuple) else ([found["optimizer"]], [found["lr_scheduler"]])


def rates(schedule: Any, interval: str = "epoch") -> list[float]:
    """Return the rate at each step of the run."""
    optimizers, configs = made(schedule, interval)
    return moved_schedules.rates(optimizers, configs, EPOCHS, STEPS)


def by_hand(make: Make, interval: str = "epoch") -> list[float]:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule, found = make(optimizer), []
    for step in range(1, EPOCHS * STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if interval == "step" or step % STEPS == 0:
            schedule.step()
    return found


def two(optimizer: Optimizer) -> Any:
    return SEQUENTIAL(optimizer, [LinearLR(optimizer, total_iters=10), CosineAnnealingLR(optimizer, 30)], [10])


def chain(optimizer: Optimizer) -> Any:
    return ChainedScheduler([PolynomialLR(optimizer, 40), ExponentialLR(optimizer, 0.9)], optimizer)


def chain_in_sequence(optimizer: Optimizer) -> Any:
    parts = [ConstantLR(optimizer, total_iters=4), LinearLR(optimizer, total_iters=4)]
    return SEQUENTIAL(optimizer, parts, [4])


class Own(LambdaLR):
    """A schedule of one's own, which needs the length."""

    def __init__(self, optimizer: Optimizer, total_steps: int, power: int = 1) -> None:
        super().__init__(optimizer, lambda step: (1 - step / total_steps) ** power)


class Child(CosineAnnealingLR):
    """Hands its arguments on to torch's class."""

    def __init__(self, optimizer: Optimizer, *, scale: float = 1.0, **kwargs: Any) -> None:
        self.scale = scale
        super().__init__(optimizer, **kwargs)


class Ramp(LinearLR):
    def __init__(self, optimizer: Optimizer, **kwargs: Any) -> None:
        super().__init__(optimizer, **kwargs)


def of_transformers(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int) -> Any:
    return LambdaLR(optimizer, lambda step: min(step / num_warmup_steps, 1 - step / num_training_steps))


def with_default(optimizer: Optimizer, total_steps: int = 16) -> Any:
    return PolynomialLR(optimizer, total_steps)


CASES: dict[str, tuple[Any, Make, str]] = {
    "cosine": (CosineAnnealingLR, partial(CosineAnnealingLR, T_max=8), "epoch"),
    "cosine by step": (CosineAnnealingLR, partial(CosineAnnealingLR, T_max=40), "step"),
    "cosine, share": (partial(COSINE, T_max=0.5), partial(CosineAnnealingLR, T_max=4), "epoch"),
    "cosine, given": (partial(CosineAnnealingLR, T_max=3), partial(CosineAnnealingLR, T_max=3), "epoch"),
    "linear": (partial(LinearLR, end_factor=0.1), partial(LinearLR, end_factor=0.1, total_iters=8), "epoch"),
    "polynomial by step": (PolynomialLR, partial(PolynomialLR, total_iters=40), "step"),
    "one cycle": (partial(OneCycleLR, max_lr=1.0), partial(OneCycleLR, max_lr=1.0, total_steps=40), "step"),
    "one cycle by epochs": (
        partial(OneCycleLR, max_lr=1.0, epochs=8, steps_per_epoch=6),
        partial(OneCycleLR, max_lr=1.0, total_steps=48),
        "step",
    ),
    "steps, share": (partial(StepLR, step_size=0.3), partial(StepLR, step_size=12), "step"),
    "milestones": (partial(MultiStepLR, milestones=[0.5, 0.75]), partial(MultiStepLR, milestones=[4, 6]), "epoch"),
    "restarts": (partial(CosineAnnealingWarmRestarts, T_0=0.25), partial(CosineAnnealingWarmRestarts, T_0=2), "epoch"),
    "cycles": (
        partial(CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=0.1, cycle_momentum=False),
        partial(CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=4, cycle_momentum=False),
        "step",
    ),
    "sequence": (partial(SEQUENTIAL, schedulers=[LinearLR, CosineAnnealingLR], milestones=[0.25]), two, "step"),
    "chain": (partial(CHAINED, schedulers=[PolynomialLR, partial(ExponentialLR, gamma=0.9)]), chain, "step"),
    "sequence of given lengths": (
        partial(SEQUENTIAL, schedulers=[ConstantLR, LinearLR], milestones=[4]),
        chain_in_sequence,
        "epoch",
    ),
    "own": (partial(Own, power=2), partial(Own, total_steps=8, power=2), "epoch"),
    "child": (partial(Child, scale=2.0), partial(CosineAnnealingLR, T_max=8), "epoch"),
    "child, share": (partial(Child, T_max=0.5), partial(CosineAnnealingLR, T_max=4), "epoch"),
    "ramp": (Ramp, partial(LinearLR, total_iters=8), "epoch"),
    "transformers": (
        partial(of_transformers, num_warmup_steps=0.1),
        partial(of_transformers, num_warmup_steps=4, num_training_steps=40),
        "step",
    ),
    "own default": (with_default, partial(PolynomialLR, total_iters=16), "step"),
    "warm-up by step": (
        partial(WARMUP, steps=10, start_factor=1 / 3, after=CosineAnnealingLR),
        two,
        "step",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_torch(name: str) -> None:
    schedule, make, interval = CASES[name]
    assert rates(schedule, interval) == by_hand(make, interval)
    assert len(set(by_hand(make, interval))) > 1


@pytest.mark.parametrize(
    ("lengths", "number"), [({"share": 0.2}, 8), ({"epochs": 1.4}, 7), ({"epochs": 2}, 10), ({"steps": 3}, 3)]
)
@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_a_warm_up_moves_by_step_before_any_interval(lengths: Any, number: int, interval: str) -> None:
    begins = number if interval == "step" else math.ceil(number / STEPS)
    unit, total = (1, EPOCHS * STEPS) if interval == "step" else (STEPS, EPOCHS)

    def expected(step: int) -> float:
        if step < number:
            return 0.5 * (0.01 + 0.99 * step / number)
        return 0.25 * (1 + math.cos(math.pi * max(0, step // unit - begins) / (total - begins)))

    found = rates(partial(WARMUP, after=CosineAnnealingLR, **lengths), interval)
    assert found == pytest.approx([expected(step) for step in range(EPOCHS * STEPS)], rel=1e-9)


def test_a_warm_up_before_a_plateau_and_alone() -> None:
    ramp = [0.5 * (0.1 + 0.9 * step / 5) for step in range(5)]
    plateau = partial(ReduceLROnPlateau, patience=2, factor=0.5)
    found = rates(partial(WARMUP, epochs=1, start_factor=0.1, after=plateau))
    assert found == pytest.approx(ramp + [0.5] * 15 + [0.25] * 15 + [0.125] * 5)
    assert rates(partial(WARMUP, epochs=1, start_factor=0.1)) == pytest.approx(ramp + [0.5] * 35)


def test_a_warm_up_by_hand_is_a_sequence() -> None:
    cosine = partial(CosineAnnealingLR, T_max=30)
    assert by_hand(partial(Warmup, steps=10, start_factor=1 / 3, after=cosine), "step") == by_hand(two, "step")
    with pytest.raises(ValueError, match="`Warmup` needs `steps` here"):
        Warmup(SGD([torch.zeros(1)], lr=0.1), share=0.1)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (partial(COSINE, T_max=2.5), "`T_max` of `lr_scheduler` must be a whole number, or a share .* 2.5"),
        (partial(COSINE, T_max=-0.5), "`T_max` of `lr_scheduler` must be a whole number, or a share"),
        (
            partial(MultiStepLR, milestones=[0.5, 0.2]),
            r"`milestones` of .* must increase, got \[0.5, 0.2\]",
        ),
        (
            partial(SEQUENTIAL, schedulers=[LinearLR, LinearLR], milestones=[]),
            "number of schedulers provided",
        ),
        (partial(SEQUENTIAL, schedulers=[LinearLR], milestones=[1, 2]), "number of schedulers provided"),
        (partial(CHAINED, schedulers=[ReduceLROnPlateau]), "does not support `ReduceLROnPlateau`"),
        (partial(CHAINED, schedulers=[partial(WARMUP, steps=2)]), "`Warmup` cannot be part of another schedule"),
        (partial(WARMUP), "`Warmup` needs one of `share`, `epochs` and `steps`, got none"),
        (partial(WARMUP, share=0.1, steps=2), "`Warmup` needs one of .*, got share, steps"),
        (partial(WARMUP, share=1.5), r"`share` of `Warmup` must lie in \(0, 1\), got 1.5"),
        (partial(WARMUP, steps=0), "`steps` of `Warmup` must be greater than 0, got 0"),
        (partial(WARMUP, steps=2, start_factor=0), "`lr_scheduler` cannot be made: Starting multiplicative factor"),
        (lambda optimizer: None, "`lr_scheduler` must make a torch.optim.lr_scheduler.LRScheduler, got NoneType"),
        (partial(ReduceLROnPlateau, mode="max"), "`mode` of `ReduceLROnPlateau` must be min for this task, got max"),
        (partial(cli.ReduceLROnPlateau, monitor="val/mae"), "`mode` of `ReduceLROnPlateau` must be given for val/mae"),
    ],
)
def test_what_cannot_be_is_one_line(schedule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        made(schedule)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "interval", "trainer", "message"),
    [
        (CosineAnnealingLR, "epoch", {"max_epochs": -1}, "needs `T_max`: set it or `max_epochs`"),
        (PolynomialLR, "step", {"estimated_stepping_batches": math.inf}, "needs `total_iters`: set it or `max_epochs`"),
        (
            partial(WARMUP, share=0.5),
            "step",
            {"estimated_stepping_batches": -1},
            "`share` .* needs the length",
        ),
        (partial(WARMUP, epochs=1), "step", {"num_training_batches": math.inf}, "needs a loader with a length"),
        (
            partial(WARMUP, steps=1, after=ConstantLR),
            "epoch",
            {"num_training_batches": math.inf},
            "needs a loader with a length",
        ),
    ],
)
def test_a_run_without_end_has_no_length(schedule: Any, interval: str, trainer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(schedule, interval, **trainer)


def test_a_plateau_schedule_of_lightning_says_what_it_watches() -> None:
    schedule = partial(cli.ReduceLROnPlateau, monitor="val/mae", mode="max")
    _, (config,) = made(schedule)
    assert (config["monitor"], config["scheduler"].mode) == ("val/mae", "max")
    _, (config,) = made(partial(cli.ReduceLROnPlateau, monitor="val/loss"))
    assert (config["monitor"], config["scheduler"].mode) == ("val/loss", "min")


def test_a_module_from_elsewhere_makes_composed_schedules_too() -> None:
    """Its `configure_optimizers` calls what YAML gives it, which goes through `make_schedule`."""
    optimizer = SGD([torch.zeros(1)], lr=0.5)
    parts = [partial(make_schedule, LinearLR, total_iters=None), partial(make_schedule, CosineAnnealingLR, T_max=30)]
    schedule: LRScheduler = make_schedule(SEQUENTIAL, optimizer, schedulers=parts, milestones=[5])
    assert [part.state_dict()["last_epoch"] for part in vars(schedule)["_schedulers"]] == [0, -1]
    assert vars(vars(schedule)["_schedulers"][0])["total_iters"] == 5  # torch's default
    with pytest.raises(ValueError, match="`T_max` of CosineAnnealingLR must be given: only a task of this package"):
        make_schedule(CosineAnnealingLR, optimizer, T_max=None)
    chained = make_schedule(CHAINED, optimizer, schedulers=parts)
    assert vars(chained)["optimizer"] is optimizer

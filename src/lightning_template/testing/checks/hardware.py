"""Checks of devices, precisions and several processes."""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import distributed
from torch.optim import Optimizer

from lightning_template.engine.libraries.torch_private import NORMALIZATION, FirstNotFinite, OnMeta
from lightning_template.testing.batches import ReplayLoader, copied, forward_arguments, map_leaves, num_samples, take
from lightning_template.testing.callbacks import SameWeights
from lightning_template.testing.checks.comparing import close, list_names, require_close_metrics
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import seed_all
from lightning_template.testing.places import place_of_call, place_of_error
from lightning_template.testing.ranks import in_two_ranks
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import logged, quiet_trainer


def runs_on_any_device(subject: Subject) -> None:
    """`forward` and `training_step` make their tensors where the task is."""
    task = subject.task()
    batch = subject.transferred(task, subject.train_batches[0])
    task.eval().to("meta")
    vars(task).update(log=_nothing, log_dict=_nothing)
    given = map_leaves(lambda leaf: leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf, batch)
    unknown = []
    if is_overridden("forward", task):
        unknown += _follow("forward", task, *forward_arguments(task, given))
    step = (given, 0)[: len(inspect.signature(task.training_step).parameters)]
    unknown += _follow("training_step", task.training_step, *step)
    if len(unknown) == 1 + is_overridden("forward", task):
        raise CheckSkipped(f"the task cannot be followed without values: {unknown[0]}")


def _nothing(*_: Any, **__: Any) -> None:
    """Log nothing."""


def _follow(name: str, function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Call a function with tensors that have no values; return why it needs some.

    Raises:
        CheckFailed: If it mixes devices.
    """
    try:
        with OnMeta():
            function(*arguments)
    except Exception as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if re.search(r"same device|expected device|different devices|to be on|not on the", message):
            raise CheckFailed(
                f"`{name}` mixes devices, so it fails on a GPU: {message}; make tensors with `device=x.device`, or "
                "register them as buffers",
                place_of_error(error),
            ) from error
        return [message]
    return []


def gpu_agrees_with_cpu(subject: Subject) -> None:
    """In evaluation mode the outputs on a GPU are those on the CPU but for rounding."""
    if not torch.cuda.is_available():
        raise CheckSkipped("there is no GPU")
    batch = subject.train_batches[0]
    on_cpu = subject.outputs(subject.task(), batch)
    device = torch.device("cuda")
    on_gpu = subject.outputs(subject.task().to(device), move_data_to_device(batch, device))
    if not all(close(found, expected, 1e-2) for found, expected in zip(on_gpu, on_cpu, strict=True)):
        raise CheckFailed(
            "in evaluation mode the outputs on a GPU are off those on the CPU by more than 1 %: often random numbers, "
            "or an operation that is numerically unstable"
        )


def bfloat16_loss_is_finite(subject: Subject) -> None:
    """In mixed precision with bfloat16 the loss of the first batches is a finite number."""
    losses = subject.losses(subject.task(), subject.train_batches, precision="bf16-mixed")
    if not all(map(math.isfinite, losses)):
        with FirstNotFinite(place_of_call) as seen:
            subject.losses(subject.task(), subject.train_batches, precision="bf16-mixed")
        raise CheckFailed(
            f"in bfloat16 the losses are {', '.join(f'{loss:.4g}' for loss in losses)}, {seen.found}: numbers near 1 "
            "become 1, so `log(1 - p)` is infinite; use losses that take logits, or compute them in float32",
            seen.place,
        )


def two_ranks_match_one(subject: Subject) -> None:
    """Two processes that share a batch get the gradients, and log the validation, of one that has it alone."""
    task = subject.task()
    if any(isinstance(module, NORMALIZATION) for module in task.modules()):
        raise CheckSkipped("batch normalisation looks at the samples of each process on its own")
    one, other = (subject.outputs(task, subject.train_samples, training=True, seed=seed) for seed in (0, 1))
    if not all(map(torch.equal, one, other)):
        raise CheckSkipped("each process draws its own random numbers, as for dropout")
    batches = {"train": subject.train_samples}
    if subject.validates(task):
        batches["val"] = subject.val_samples
    half = min(map(num_samples, batches.values())) // 2
    if half == 0:
        raise CheckSkipped("there are fewer than 2 samples")
    whole = {stage: take(batch, range(2 * half)) for stage, batch in batches.items()}
    parts = [{stage: take(batch, range(rank, 2 * half, 2)) for stage, batch in batches.items()} for rank in range(2)]
    expected, wanted = _train_by_rank(subject, [whole])
    found, measured = in_two_ranks(partial(_train_by_rank, subject, parts))
    if wrong := [name for name, gradient in expected.items() if not close(found[name], gradient, 1e-3)]:
        raise CheckFailed(
            f"two processes get other gradients of {list_names(wrong)} than one does from the same samples: the loss "
            "is not a mean over samples, or depends on which samples share a batch"
        )
    names = subject.validate(subject.task(), [whole["val"]]) if "val" in whole else {}
    require_close_metrics(
        {name: value for name, value in measured.items() if name in names},
        {name: value for name, value in wanted.items() if name in names},
        "in two processes",
        "each logs its own part; use `sync_dist=True`, or log the metric object itself",
    )


class FirstGradients(Callback):
    """Records the gradients of the first step."""

    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Record them."""
        if not self.gradients:
            self.gradients = {n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None}


class RankReplayLoader(ReplayLoader):
    """A loader that serves each rank other batches."""

    def __iter__(self) -> Iterator[Any]:
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        yield copied(self.epochs[0][rank])

    def __len__(self) -> int:
        return 1


def _train_by_rank(subject: Subject, parts: list[dict[str, Any]]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return the gradients of a step and what was logged; `parts` are the batches of each process by their stages."""
    keep = FirstGradients()
    loaders = {stage: RankReplayLoader([[part[stage] for part in parts]]) for stage in parts[0]}
    options = {"strategy": DDPStrategy(process_group_backend="gloo"), "devices": 2} if len(parts) == 2 else {}
    trainer = quiet_trainer(max_epochs=1, callbacks=[SameWeights(), keep], **options)
    seed_all(0)
    trainer.fit(subject.task(), datamodule=subject.data_with(**{"val": [], **loaders}))
    return keep.gradients, logged(trainer)

"""Checks of seeds, saved arguments, checkpoints, resuming and export."""

import inspect
import pickle
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from torch import nn

from lightning_template.engine.libraries.torch_private import RandomOperators, tree_leaves, tree_map
from lightning_template.engine.tasks import constructor_arguments
from lightning_template.testing.batches import forward_arguments, num_samples, take
from lightning_template.testing.callbacks import SameNumbers
from lightning_template.testing.checks.comparing import (
    close,
    difference,
    equal,
    list_names,
    require_equal_states,
    state,
)
from lightning_template.testing.construction import construct_again
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject


def same_seed_same_weights(subject: Subject) -> None:
    """Tasks that are constructed with the same seed have the same weights."""
    one, other = (state(subject.constructed_task()) for _ in range(2))
    require_equal_states(
        one, other, "in a second task of the same seed", "weights are drawn from a generator that no seed reaches"
    )


def arguments_are_saved(subject: Subject) -> None:
    """Every argument of the constructor is a hyper-parameter, and from those the same task can be made again."""
    task = subject.task()
    parameters = list(inspect.signature(type(task).__init__).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not parameters:
        raise CheckSkipped("the constructor takes no arguments")
    arguments = constructor_arguments(task)
    if missing := [name for name in names if name not in arguments]:
        raise CheckAdvised(
            f"the constructor's {list_names(missing)} is not saved, so a checkpoint does not say how to make its task: "
            "call `save_hyperparameters()` in the constructor, without `ignore`"
        )
    for name in names:
        saved, used = arguments[name], getattr(task, name, None)
        if isinstance(saved, int | float | str) and isinstance(used, int | float | str) and saved != used:
            raise CheckFailed(
                f"`{name}` was given as {saved!r} and the task uses {used!r}: the constructor does not use its argument"
            )
    one, other = (
        {name: tuple(weight.shape) for name, weight in made.state_dict().items()}
        for made in (task, construct_again(task))
    )
    if wrong := [name for name in one | other if one.get(name) != other.get(name)]:
        raise CheckFailed(
            f"made again from its hyper-parameters, the task has {list_names(wrong)} of another shape: an argument is "
            "saved as something else than it was given, or not handed on to the base class"
        )


def checkpoint_round_trip(subject: Subject) -> None:
    """A checkpoint loads without running code, and gives another task the outputs of the one saved."""
    task, path = subject.task(), _temporary("task.ckpt")
    trainer = subject.fit(task, subject.train_batches)
    trainer.save_checkpoint(path)
    try:
        checkpoint = torch.load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        cause = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error).splitlines()[0])
        raise CheckFailed(
            "the checkpoint holds objects, which only loading that can run foreign code takes: save tensors, numbers, "
            f"strings, lists and dicts in hyper-parameters and `on_save_checkpoint` ({cause.strip()})"
        ) from error
    other = subject.task(seed=1)
    with torch.no_grad():
        for name, tensor in [*other.named_parameters(), *other.named_buffers()]:
            if name in checkpoint["state_dict"]:  # buffers that are not persistent stay
                tensor.copy_(tensor + 1)  # a copy of the task given has its weights
    other.on_load_checkpoint(checkpoint)
    other.load_state_dict(checkpoint["state_dict"], strict=other.strict_loading)
    batch = subject.train_batches[0]
    for found, expected in zip(subject.outputs(other, batch), subject.outputs(task, batch), strict=True):
        if not equal(found, expected):
            raise CheckFailed(
                "a task with the weights of a checkpoint returns other outputs than the one saved, "
                f"{difference(found, expected)}: something that training changes is no parameter and no buffer; use "
                "`register_buffer` or `on_save_checkpoint`"
            )


def resumes_exactly(subject: Subject) -> None:
    """Two epochs, and two with a checkpoint and another process between them, give equal weights, to the bit."""
    epochs = [subject.train_batches] * 2
    whole, stopped, resumed = (subject.task() for _ in range(3))
    path = _temporary("stopped.ckpt")
    trainer = subject.fit(whole, *epochs, callbacks=[SameNumbers()])
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
    if any(isinstance(callback, WeightAveraging | StochasticWeightAveraging) for callback in callbacks):
        raise CheckSkipped("the averaged weights take the place of the trained ones when training ends")
    subject.fit(stopped, *epochs, callbacks=[SameNumbers(), StopAfterAnEpoch()]).save_checkpoint(path)
    subject.fit(resumed, *epochs, callbacks=[SameNumbers()], ckpt_path=path)
    require_equal_states(
        state(whole),
        state(resumed),
        "when training was stopped after an epoch and resumed",
        "something that training depends on is not in the checkpoint; use `register_buffer` or `on_save_checkpoint`",
    )


def exports(subject: Subject) -> None:
    """`torch.export` takes `forward`, and what it makes gives equal outputs for batches of another size too."""
    task = subject.task()
    batch = subject.train_samples
    size = num_samples(batch)
    if size < 3:
        raise CheckSkipped("there are fewer than 3 samples")
    with RandomOperators() as drawn:
        expected = subject.outputs(task, batch)  # before export, for what the first call makes
    if drawn.names:
        raise CheckSkipped("`forward` draws random numbers")
    arguments = forward_arguments(task, subject.transferred(task, batch))
    if not all(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(arguments)):
        raise CheckSkipped("`forward` takes more than tensors")
    shapes = tree_map(lambda leaf: {0: torch.export.Dim.AUTO} if leaf.ndim else None, arguments)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # torch prints the graph when it fails
            program = torch.export.export(_Forward(task), arguments, dynamic_shapes=(shapes,)).module()
    except Exception as error:  # torch raises what it likes
        raise CheckFailed(
            f"`torch.export` does not take `forward`: {str(error).strip().splitlines()[0]} "
            "Often a branch or loop on the values of a tensor, `.item()` or `.tolist()`, or something other than torch"
        ) from error
    for found, wanted in zip(_leaves(program(*arguments)), expected, strict=True):
        if not close(found, wanted, 1e-4):
            raise CheckFailed("the exported task gives other outputs: what `forward` depends on was kept as a constant")
    fewer = take(arguments, range(size - 1))
    try:
        outputs = _leaves(program(*fewer))
    except Exception as error:
        raise CheckFailed(
            f"the exported task takes batches of {size} samples only: a size is written into `forward`, or taken from "
            "a batch as a number (`reshape(32, -1)`, `int(len(x))`)"
        ) from error
    for found, wanted in zip(outputs, subject.outputs(task, take(batch, range(size - 1))), strict=True):
        if not close(found, wanted, 1e-4):
            raise CheckFailed("the exported task gives other outputs for batches of another size")


class StopAfterAnEpoch(Callback):
    """Stops training as a time limit would."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        trainer.should_stop = True


class _Forward(nn.Module):
    """A task's `forward` without what Lightning adds to it."""

    def __init__(self, task: LightningModule) -> None:
        super().__init__()
        self.task = task

    def forward(self, *arguments: Any) -> Any:
        return self.task(*arguments)


def _leaves(outputs: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]


def _temporary(name: str) -> str:
    return str(Path(tempfile.mkdtemp()) / name)

"""The parts of a training step, each of which can be timed alone."""

import inspect
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lightning_template.engine.nests import map_tensors

PEAK_SECONDS = 0.3
SIZES, SIZES_ON_DEVICE = (512, 1024, 2048), (4096, 8192)
"""Rows and columns of the matrices whose products show the peak."""
NUM_WARM = 2
"""Calls of each action that do not count."""


def rounds(actions: Mapping[str, Callable[[], object]], device: torch.device, limit: float) -> dict[str, list[float]]:
    """Return the seconds of several actions, which take turns: what else the machine does slows down all of them.

    Args:
        actions: What is timed, by name.
        device: Device whose work is waited for.
        limit: Seconds after which no further round begins.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    until = time.perf_counter() + limit
    for number in itertools.count():
        for name, action in actions.items():
            synchronize(device)
            began = time.perf_counter()
            action()
            synchronize(device)
            if number >= NUM_WARM:
                times[name].append(time.perf_counter() - began)
        if number >= NUM_WARM and time.perf_counter() > until:
            return times
    raise AssertionError  # the count has no end


def ratio(times: Mapping[str, list[float]], first: str, second: str) -> float:
    """Return how many times as long one action takes as another: the median over the rounds."""
    return statistics.median(one / other for one, other in zip(times[first], times[second], strict=True))


def synchronize(device: torch.device) -> None:
    """Wait until a device has done its work."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


class Step:
    """A training step on a batch, part by part.

    Args:
        trainer: Trainer that fits, within a hook.
        module: Module that it fits.
    """

    def __init__(self, trainer: Trainer, module: LightningModule) -> None:
        self.trainer, self.module = trainer, module
        self.device = trainer.strategy.root_device
        self.optimizer = trainer.optimizers[0] if trainer.optimizers else None
        self.context: Callable[[], AbstractContextManager[Any]] = trainer.precision_plugin.train_step_context
        parameters = inspect.signature(module.training_step).parameters
        self._takes_index = "batch_idx" in parameters
        self._takes_iterator = "dataloader_iter" in parameters

    def to_device(self, batch: Any) -> Any:
        """Return a batch as the step gets it."""
        converted = self.trainer.precision_plugin.convert_input(batch)
        return self.trainer.strategy.batch_to_device(converted)

    def forward(self, batch: Any) -> Any:
        """Return the loss of a batch; None if the module steps by itself."""
        if self._takes_iterator:
            batch = iter([(batch, 0, 0)])  # as Lightning hands it over
        with self.context():
            made: Any = self.module.training_step(batch, 0) if self._takes_index else self.module.training_step(batch)
        return made["loss"] if isinstance(made, Mapping) else made

    def backward(self, loss: Any) -> None:
        """Compute the gradients."""
        self.module.backward(loss)

    def optimize(self, batch: Any = None) -> None:
        """Step the optimizer, which may call the network by itself, and clear the gradients."""
        if self.optimizer is None:
            return
        if needs_closure(self.optimizer):
            self.optimizer.step(lambda: self._loss_with_gradients(batch))
        else:
            self.optimizer.step()
        self.optimizer.zero_grad()

    def all(self, batch: Any) -> None:
        """Make a whole step with a batch that is on the device."""
        if not self.module.automatic_optimization:
            self.forward(batch)
            return
        if self.optimizer is None or not needs_closure(self.optimizer):
            self._loss_with_gradients(batch)
        self.optimize(batch)

    def timed(self, batch: Any) -> dict[str, float]:
        """Make a step, and return the seconds of its parts by name, each waited for."""
        marks = [self._now()]
        if not self.module.automatic_optimization:
            self.forward(batch)
            return {"forward, backward and optimizer": self._now() - marks[0]}
        if self.optimizer is not None and needs_closure(self.optimizer):
            self.optimize(batch)
            return {"optimizer, which calls forward and backward": self._now() - marks[0]}
        loss = self.forward(batch)
        marks.append(self._now())
        self.backward(loss)
        marks.append(self._now())
        self.optimize()
        marks.append(self._now())
        names = ("forward", "backward", "optimizer")
        return {name: end - begin for name, begin, end in zip(names, marks, marks[1:], strict=False)}

    def _now(self) -> float:
        synchronize(self.device)
        return time.perf_counter()

    def operations(self, batch: Any) -> int:
        """Return the number of floating-point operations of a step's products and convolutions."""
        with FlopCounterMode(display=False) as counter:
            self.all(batch)
        return int(counter.get_total_flops())

    def _loss_with_gradients(self, batch: Any) -> Any:
        loss = self.forward(batch)
        self.backward(loss)
        return loss


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether an optimizer calls the network by itself, as L-BFGS does."""
    return inspect.signature(optimizer.step).parameters["closure"].default is inspect.Parameter.empty


@contextmanager
def unlogged(module: LightningModule) -> Iterator[None]:
    """Have a module log nothing."""
    names = ("log", "log_dict")
    vars(module).update({name: lambda *args, **kwargs: None for name in names})
    try:
        yield
    finally:
        for name in names:
            del vars(module)[name]


def doubled(batch: Any, number: int) -> Any:
    """Return a batch in which each sample is there twice.

    Args:
        batch: Batch, in which tensors of that length along dimension 0 have a row for each sample.
        number: Number of samples.
    """

    def double(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, tensor]) if tensor.ndim and len(tensor) == number else tensor

    return map_tensors(double, batch)


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations a second of a matrix product, the most that this machine reaches."""
    best = 0.0
    for size in SIZES if device.type == "cpu" else SIZES_ON_DEVICE:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        times = rounds({"product": partial(torch.mm, left, right)}, device, PEAK_SECONDS)["product"]
        best = max(best, 2 * size**3 / min(times))
    return best

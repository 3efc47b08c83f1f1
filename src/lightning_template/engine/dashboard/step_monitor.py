"""Learning rates, gradient norm, speed and memory of a run, as scalars."""

import re
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_template.engine.callbacks.observer import Observer
from lightning_template.engine.libraries.lightning_trainer import batches_that_stepped, logged_in_step, should_log
from lightning_template.engine.nests import tensors_of

EVERY_SECONDS = 5.0
"""Time of training from one look at speed and memory to the next, within an epoch."""


class StepMonitor(Observer):
    """Logs learning rates and gradient norm whenever Lightning logs, and now and then speed and memory.

    Tags:
        - `optimizer/lr`: learning rate; that of a further group has its name or number, as in `optimizer/lr_1`.
        - `optimizer/gradient_norm`: norm of all gradients, after clipping.
        - `speed/samples_per_second`: samples of all ranks, without the time of validation.
        - `memory/process_mb`: largest resident set so far, or `memory/gpu_mb`: largest memory of the GPU so far.

    What the first step logs is logged too, or else its loss, so that curves have a beginning.

    Lightning's `ThroughputMonitor` does not serve: it has to see each batch, which executions leave out.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock where a run goes on within an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: what lies between epochs is not training."""
        self._began = time.perf_counter()
        self._seconds = 0.0  # of training before the clock was started, since the last look
        self._samples_per_batch = 0
        self._batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: validation is not training."""
        if not trainer.sanity_checking and trainer.state.fn == TrainerFn.FITTING:
            self._seconds += time.perf_counter() - self._began

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again."""
        self._began = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Take the learning rates of the step: a schedule may change them before it ends."""
        self._rates = learning_rates(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what is due."""
        step = batches_that_stepped(trainer)
        is_due = should_log(trainer)
        is_first = step == 0 and trainer.global_step > 0 and not is_due
        if batch_idx == 0 or not self._samples_per_batch:
            self._samples_per_batch = num_samples(batch)
        if not (trainer.loggers and (is_first or is_due)):
            return
        scalars = dict(self._rates)
        gradients = [weight.grad for weight in pl_module.parameters() if weight.grad is not None]
        if gradients:
            scalars["optimizer/gradient_norm"] = float(torch.nn.utils.get_total_norm(gradients))
        if is_first:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            if logged := logged_in_step(trainer):
                scalars |= logged
            elif isinstance(loss, Tensor):
                scalars["train/loss_step"] = loss.item() * trainer.accumulate_grad_batches
        elif self._seconds + time.perf_counter() - self._began >= EVERY_SECONDS:
            self._seconds += time.perf_counter() - self._began
            scalars |= self._machine(trainer)
        _log(trainer, scalars, step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log speed and memory, and what each step logs if no step of a short epoch may have been logged."""
        self._seconds += time.perf_counter() - self._began
        scalars = self._machine(trainer)
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # the Trainer's parts set it
        if trainer.num_training_batches < interval and not should_log(trainer):
            # a mean over the epoch is logged anyway, beside the name that ends so
            scalars |= {name: value for name, value in logged_in_step(trainer).items() if not name.endswith("_step")}
        _log(trainer, scalars, batches_that_stepped(trainer) - 1)

    def _machine(self, trainer: Trainer) -> dict[str, float]:
        """Return speed since the last look, and memory, by tag."""
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready - self._batches
        if batches == 0:
            return {}
        speed = batches * self._samples_per_batch * trainer.world_size / max(self._seconds, 1e-9)
        self._began, self._seconds = time.perf_counter(), 0.0
        self._batches += batches
        return {"speed/samples_per_second": speed} | memory(trainer.strategy.root_device)


def _log(trainer: Trainer, scalars: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(scalars, step=step)


def num_samples(batch: Any) -> int:
    """Return the length of a batch's first tensor that is no scalar; 0 if it has none."""
    return next((len(tensor) for tensor in tensors_of(batch) if tensor.ndim), 0)


def learning_rates(trainer: Trainer) -> dict[str, float]:
    """Return the learning rate of each parameter group, by tag."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    names = [str(group.get("name", number or "")) for number, group in enumerate(groups)]
    names = [re.sub(r"[^\w.]+", "_", name).strip("_") for name in names]  # as TensorBoard takes them
    tags = [f"optimizer/lr_{name}" if name else "optimizer/lr" for name in names]
    tags = [f"{tag}_{number}" if tag in tags[:number] else tag for number, tag in enumerate(tags)]
    return {tag: float(group["lr"]) for tag, group in zip(tags, groups, strict=True)}


def memory(device: torch.device) -> dict[str, float]:
    """Return the largest memory so far, of a GPU or else of this process, in MB of 2**20 bytes, by tag."""
    if device.type == "cuda":
        return {"memory/gpu_mb": torch.cuda.max_memory_allocated(device) / 2**20}
    unit = 1 if sys.platform == "darwin" else 2**10
    return {"memory/process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}

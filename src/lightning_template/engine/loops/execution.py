"""Several training steps in one go, an execution: what Lightning does around a step is done once for all of them.

Hooks, log, progress bar and checks cost more time than a step of a small network. The inner steps of an execution leave
them out and do what weights, counters and schedules depend on; the last step of an execution is Lightning's own. A step
after which something is due, such as a line in the log or a validation, is the last of its execution. So an execution
changes what a run costs and nothing else.
"""

import inspect
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.optimization.automatic import _AutomaticOptimization
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from lightning_template.engine.loops.connectors import take_over_signals
from lightning_template.engine.loops.logged import StepLog
from lightning_template.engine.loops.resumable import EpochLoop, FitLoop

MAX_SECONDS = 0.5
"""Longest time that the inner steps of an execution go on, so that progress bar and timer are served in time."""

AROUND_A_STEP = ("on_train_batch_start", "on_train_batch_end")
WITHIN_A_STEP = (
    "on_before_zero_grad",
    "optimizer_zero_grad",
    "on_before_backward",
    "backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "optimizer_step",
    "configure_gradient_clipping",
)
BEFORE_A_STEP = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")

CONTENT_WITH_EXECUTIONS = (DeviceStatsMonitor, LearningRateMonitor, ProgressBar, Timer)
"""Callbacks that look at every step but act only when something is logged or some time is over."""

_logger = logging.getLogger("lightning_template")


def resumable_loop(trainer: Trainer) -> "ExecutionLoop":
    """Make a trainer, which is about to fit, able to stop and resume exactly; each step on its own.

    Returns:
        Its loop over the batches of an epoch.
    """
    if not isinstance(trainer.fit_loop, FitLoop):
        trainer.fit_loop.epoch_loop = _as(ExecutionLoop, trainer.fit_loop.epoch_loop)
        trainer.fit_loop = _as(FitLoop, trainer.fit_loop)
        take_over_signals(trainer)
        loop = trainer.fit_loop.epoch_loop
        loop.automatic_optimization = _as(DirectOptimization, loop.automatic_optimization)
    loop = trainer.fit_loop.epoch_loop
    assert isinstance(loop, ExecutionLoop)
    if isinstance(trainer.precision_plugin, DoublePrecision):  # Lightning would load a checkpoint's doubles into floats
        trainer.lightning_module.double()
    return loop


def _as(loop_class: Any, loop: object) -> Any:
    """Return a loop with all that another has by now, such as the source of its data."""
    other = loop_class.__new__(loop_class)
    vars(other).update(vars(loop))
    return other


def run_in_executions(trainer: Trainer, steps_per_execution: int) -> None:
    """Make a trainer, which is about to fit, go through the training batches in executions.

    Args:
        trainer: Trainer whose loops are made resumable too.
        steps_per_execution: Largest number of steps in an execution.
    """
    resumable_loop(trainer).steps_per_execution = steps_per_execution


class ExecutionLoop(EpochLoop):
    """The loop over the batches of an epoch, in executions."""

    steps_per_execution = 1
    """Largest number of steps in an execution."""
    automatic_optimization: "DirectOptimization"
    _announced = False

    def run(self, data_fetcher: _DataFetcher) -> None:
        """Go through the batches of an epoch."""
        self._lightning_does_all = self.steps_per_execution == 1 or self._must_stay_single(data_fetcher)
        self.automatic_optimization.is_direct = not self._lightning_does_all and _steps_directly(self.trainer)
        self._intervals = list(_intervals(self.trainer))
        self._step_log = StepLog(self.trainer)
        super().run(data_fetcher)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Make the training steps of an execution."""
        try:
            self._execute(data_fetcher)
        except (RuntimeError, ConnectionError) as error:
            self.stop_without_data(error)
            raise

    def _execute(self, data_fetcher: _DataFetcher) -> None:
        if not self._lightning_does_all:
            with self._step_log.silent():
                if self._inner_steps(data_fetcher):
                    return
        super().advance(data_fetcher)

    def _inner_steps(self, data_fetcher: _DataFetcher) -> bool:
        """Make all steps of an execution but the last one, and tell whether the run is to stop before that."""
        trainer = self.trainer
        deadline = self._deadline()
        for _ in range(self._num_inner_steps()):
            if time.monotonic() >= deadline:
                break
            self._inner_step(data_fetcher)
            if trainer.should_stop or self.must_stop:
                return True
            if trainer.lr_scheduler_configs:
                self.update_lr_schedulers("step", update_plateau_schedulers=True)
            if trainer.accumulate_grad_batches == 1 or not self._should_accumulate():
                self._batches_that_stepped += 1
        return False

    def _must_stay_single(self, data_fetcher: _DataFetcher) -> bool:
        """Tell whether somebody has to see each step, and say who."""
        trainer = self.trainer
        reasons = [type(watcher).__name__ for watcher in _watchers(trainer)]
        if isinstance(data_fetcher, _DataLoaderIterDataFetcher):
            reasons.append("training_step(dataloader_iter)")
        if not trainer.lightning_module.automatic_optimization:
            reasons.append("manual optimization")
        if trainer.num_training_batches == math.inf:
            reasons.append("a loader without length")
        if reasons and not self._announced and trainer.is_global_zero:
            self._announced = True
            steps = self.steps_per_execution
            _logger.info("one step per execution instead of %d, because of %s", steps, ", ".join(reasons))
        return bool(reasons)

    def _num_inner_steps(self) -> int:
        """Return the number of batches that may come before one after which something has to be done."""
        trainer = self.trainer
        if self.restarting or self.batch_progress.total.ready == 0:  # callbacks see the first step of all
            return 0
        ready = self.batch_progress.current.ready
        steps = [_until_next(self._batches_that_stepped, trainer.log_every_n_steps or math.inf)]
        steps += [_until_next(self.global_step, interval) for interval in self._intervals]
        if self.max_steps != -1:
            steps.append(self.max_steps - 1 - self.global_step)
        batches = [self.steps_per_execution - 1, trainer.num_training_batches - 1 - ready]
        accumulate = trainer.accumulate_grad_batches  # a step is made with the last of so many batches
        batches += [(number + 1) * accumulate - 1 - ready % accumulate for number in steps]
        interval = trainer.val_check_batch
        if interval not in (None, math.inf) and self._should_check_val_epoch():
            by_epoch = trainer.check_val_every_n_epoch is not None
            batches.append(_until_next(ready if by_epoch else self.batch_progress.total.ready, interval))
        return int(max(0, min(batches)))

    def _deadline(self) -> float:
        """Return the time after which an execution takes no further step but its last one."""
        trainer = self.trainer
        # Ranks must end their executions alike: their clocks would not.
        deadline = time.monotonic() + MAX_SECONDS if trainer.world_size == 1 else math.inf
        if trainer._val_check_time_interval is not None:
            deadline = min(deadline, trainer._last_val_time + trainer._val_check_time_interval)
        return deadline

    def _inner_step(self, data_fetcher: _DataFetcher) -> None:
        """Do what `advance` does, less what the module's docstring says."""
        trainer = self.trainer
        batch = _next_batch(data_fetcher)
        batch_idx = self.batch_idx + 1
        batch = self._to_device(batch)
        self.batch_progress.increment_ready()
        trainer._logger_connector.on_batch_start(batch)
        self.batch_progress.increment_started()
        if self.automatic_optimization.is_direct:
            self.automatic_optimization.step(batch, batch_idx)
        else:
            kwargs = self._build_kwargs(OrderedDict(), batch, batch_idx)
            self.automatic_optimization.run(trainer.optimizers[0], batch_idx, kwargs)
        self.batch_progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
        self.batch_progress.increment_completed()

    def _to_device(self, batch: Any) -> Any:
        trainer = self.trainer
        task, device = trainer.lightning_module, trainer.strategy.root_device
        batch = trainer.precision_plugin.convert_input(batch)
        if self.automatic_optimization.is_direct and all(
            isinstance(part, Tensor) and part.device == device for part in batch
        ):
            return batch
        batch = task._on_before_batch_transfer(batch, dataloader_idx=0)
        return call._call_strategy_hook(trainer, "batch_to_device", batch, dataloader_idx=0)


class DirectOptimization(_AutomaticOptimization):
    """What Lightning does with a batch, less the calls of hooks that nobody defines."""

    is_direct = False
    """Whether no hook is to be called within a step."""

    def run(self, optimizer: Optimizer, batch_idx: int, kwargs: OrderedDict[str, Any]) -> dict[str, Any]:
        """Train with a batch, and return the loss."""
        if not self.is_direct:
            return super().run(optimizer, batch_idx, kwargs)
        return {"loss": self.step(kwargs["batch"], batch_idx)}

    def step(self, batch: Any, batch_idx: int) -> Tensor:
        """Train with a batch, and return its loss."""
        trainer = self.trainer
        task, optimizer, precision = trainer.lightning_module, trainer.optimizers[0], trainer.precision_plugin
        progress = self.optim_progress.optimizer
        accumulate = trainer.accumulate_grad_batches
        task._current_fx_name = "training_step"  # for what the task may log
        with precision.train_step_context():
            loss: Tensor = task.training_step(batch, batch_idx)  # type: ignore[assignment]  # it `returns_loss`
        if batch_idx % accumulate == 0:
            progress.zero_grad.increment_ready()
            progress.zero_grad.increment_started()
            optimizer.zero_grad()
            progress.zero_grad.increment_completed()
        if accumulate > 1:
            loss = loss / accumulate
        loss.backward()  # type: ignore[no-untyped-call]
        if accumulate == 1 or not trainer.fit_loop._should_accumulate():
            progress.step.increment_ready()
            if trainer.gradient_clip_val is not None:
                precision._clip_gradients(task, optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
            optimizer.step()
            progress.step.increment_completed()
        return loss.detach()


def _until_next(count: int, interval: float) -> float:
    """Return how often a count may grow by one before it is one less than a multiple of an interval."""
    return interval - 1 - count % interval


def _next_batch(data_fetcher: _DataFetcher) -> Any:
    """Return the next batch, which is not the last one, past what Lightning does to combine several loaders."""
    loaders = data_fetcher.combined_loader
    if data_fetcher.length is None or loaders.iterables is not loaders.flattened[0]:
        batch, _, _ = next(data_fetcher)
        return batch
    assert loaders._iterator is not None
    loaders._iterator._idx += 1
    data_fetcher.fetched += 1
    return next(loaders._iterator.iterators[0])


def _intervals(trainer: Any) -> Iterable[int]:
    """Yield the numbers of optimizer steps at whose multiples a callback wants an execution to end."""
    for callback in trainer.callbacks:
        interval = getattr(callback, "every_n_steps", None)
        if isinstance(interval, int) and interval > 0:
            yield interval


def _watchers(trainer: Any) -> Iterable[object]:
    """Yield who has to see each training step."""
    for callback in trainer.callbacks:
        patient = (
            getattr(callback, "every_execution", False)
            or isinstance(callback, CONTENT_WITH_EXECUTIONS)
            or (isinstance(callback, ModelCheckpoint) and bool(callback.every_n_epochs))
        )
        if not patient and _overrides(callback, Callback, AROUND_A_STEP):
            yield callback
    if _overrides(trainer.lightning_module, LightningModule, AROUND_A_STEP):
        yield trainer.lightning_module
    if not isinstance(trainer.profiler, PassThroughProfiler):
        yield trainer.profiler


def _steps_directly(trainer: Any) -> bool:
    """Tell whether a step is no more than batch, loss, gradients and optimizer."""
    precision, task = trainer.precision_plugin, trainer.lightning_module
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(precision) in (Precision, MixedPrecision, HalfPrecision, DoublePrecision)
        and getattr(precision, "scaler", None) is None
        and len(trainer.optimizers) == 1
        and not _needs_closure(trainer.optimizers[0])
        and getattr(task.training_step, "returns_loss", False)  # that of the template's base class
        and not _overrides(task, LightningModule, (*BEFORE_A_STEP, *WITHIN_A_STEP))
        and not (trainer.datamodule and _overrides(trainer.datamodule, LightningDataModule, BEFORE_A_STEP))
        and not any(_overrides(callback, Callback, WITHIN_A_STEP) for callback in trainer.callbacks)
    )


def _needs_closure(optimizer: Optimizer) -> bool:
    return inspect.signature(optimizer.step).parameters["closure"].default is inspect.Parameter.empty


def _overrides(instance: object, parent: type, hooks: Iterable[str]) -> bool:
    return any(hasattr(parent, hook) and is_overridden(hook, instance, parent) for hook in hooks)

"""Executions: several training steps between two calls of hooks, log, progress bar and checks.

Those cost more time than a step of a small network. The inner steps of an execution leave them out and do what weights,
counters and schedules depend on. The last step of an execution is Lightning's own. A step after which something is due,
such as a line in the log or a validation, is the last of its execution. So an execution changes the cost of a run and
nothing else.
"""

import logging
import math
import time
from typing import Any

from torch.utils.data import IterableDataset

from lightning_template.engine.libraries.lightning_loops import DataFetcher, hands_over_iterator, next_validation_time
from lightning_template.engine.libraries.torch_private import expect_no_gpu_graph
from lightning_template.engine.loops.resumable import EpochLoop
from lightning_template.engine.loops.step_log import StepLog
from lightning_template.engine.loops.watchers import step_intervals, steps_directly, watchers

MAX_SECONDS = 0.5
"""Longest time that the inner steps of an execution take, so that progress bar and timer are updated in time."""

_logger = logging.getLogger("lightning_template")


class ExecutionLoop(EpochLoop):
    """The loop over the batches of an epoch, in executions."""

    steps_per_execution = 1
    """Largest number of steps in an execution."""
    _is_announced = False

    def run(self, data_fetcher: DataFetcher) -> None:
        """Go through the batches of an epoch."""
        self._has_inner_steps = self.steps_per_execution > 1 and not self._is_watched(data_fetcher)
        self.automatic_optimization.is_direct = self._has_inner_steps and steps_directly(self.trainer)
        if self.automatic_optimization.is_direct and self.trainer.strategy.root_device.type == "cpu":
            expect_no_gpu_graph(self.trainer.optimizers[0])
        self._intervals = list(step_intervals(self.trainer))
        self._step_log = StepLog(self.trainer)
        super().run(data_fetcher)

    def advance(self, data_fetcher: DataFetcher) -> None:
        """Make the training steps of an execution."""
        try:
            if self._has_inner_steps:
                with self._step_log.silent():
                    if self._inner_steps(data_fetcher):
                        return
            super().advance(data_fetcher)
        except (RuntimeError, ConnectionError) as error:
            self.stop_without_data(error)
            raise

    def _inner_steps(self, data_fetcher: DataFetcher) -> bool:
        """Make all steps of an execution but the last one, and tell whether the run is to stop before that."""
        trainer = self.trainer
        deadline = self._deadline()
        for _ in range(self._num_inner_steps()):
            if time.monotonic() >= deadline:
                break
            self.inner_step(data_fetcher)
            if trainer.should_stop or self.must_stop:
                return True
            self.end_inner_step()
        return False

    def _is_watched(self, data_fetcher: DataFetcher) -> bool:
        """Tell whether an execution has to be one step, and say why."""
        trainer = self.trainer
        reasons = [type(watcher).__name__ for watcher in watchers(trainer)]
        if hands_over_iterator(data_fetcher):
            reasons.append("training_step(dataloader_iter)")
        if not trainer.lightning_module.automatic_optimization:
            reasons.append("manual optimization")
        if trainer.num_training_batches == math.inf:
            reasons.append("a loader without length")
        elif any(_is_stream(loader) for loader in data_fetcher.combined_loader.flattened):
            reasons.append("a stream, whose length may be wrong")  # an epoch that ends early would lack its last log
        if reasons and not self._is_announced and trainer.is_global_zero:
            self._is_announced = True
            steps = self.steps_per_execution
            _logger.info("one step per execution instead of %d, because of %s", steps, ", ".join(reasons))
        return bool(reasons)

    def _num_inner_steps(self) -> int:
        """Return the number of batches before the next one after which something is due."""
        trainer = self.trainer
        if self.restarting or self.batch_progress.total.ready == 0:  # callbacks see the first step of all
            return 0
        ready = self.batch_progress.current.ready
        steps = [_steps_left(self.num_logged_steps, trainer.log_every_n_steps or math.inf)]
        steps += [_steps_left(self.global_step, interval) for interval in self._intervals]
        if self.max_steps != -1:
            steps.append(self.max_steps - 1 - self.global_step)
        batches = [self.steps_per_execution - 1, trainer.num_training_batches - 1 - ready]
        accumulate = trainer.accumulate_grad_batches  # a step is made with the last of so many batches
        batches += [(number + 1) * accumulate - 1 - ready % accumulate for number in steps]
        interval = trainer.val_check_batch
        if interval not in (None, math.inf) and self.validates_in_epoch:
            by_epoch = trainer.check_val_every_n_epoch is not None
            batches.append(_steps_left(ready if by_epoch else self.batch_progress.total.ready, interval))
        return int(max(0, min(batches)))

    def _deadline(self) -> float:
        """Return the time after which an execution takes no further step but its last one."""
        # Ranks must end their executions with the same step: their clocks would not.
        deadline = time.monotonic() + MAX_SECONDS if self.trainer.world_size == 1 else math.inf
        validation = next_validation_time(self.trainer)
        return deadline if validation is None else min(deadline, validation)


def _is_stream(loader: Any) -> bool:
    return isinstance(getattr(loader, "dataset", None), IterableDataset)


def _steps_left(count: int, interval: float) -> float:
    """Return the steps left before the one that makes `count` a multiple of `interval`."""
    return interval - 1 - count % interval

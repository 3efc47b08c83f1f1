"""Loops over epochs and batches that stop and resume exactly.

A run stops at a boundary: between two steps or two epochs, with no gradients pending and all hooks and schedules done.
Checkpoints written there hold each rank's random state, position in the data, metrics and changed attributes. A resumed
run then ends with the same bits as one that was never stopped. Lightning writes its own before some of that is done.

Not restored are the random state of a DataLoader's persistent workers, and Lightning's mean over an epoch of numbers
logged in each step. Neither is the order that a stream without workers draws from the module's random numbers.
"""

import math
from typing import Any

import torch

from lightning_template.engine.libraries.lightning_loops import BaseEpochLoop, BaseFitLoop, DataFetcher, skip_batch
from lightning_template.engine.loops.attributes import ChangedAttributes
from lightning_template.engine.loops.boundary import Boundary, SavedStep
from lightning_template.engine.loops.metric_state import dump_metrics, load_metrics
from lightning_template.engine.loops.random_state import random_state, set_random_state
from lightning_template.engine.loops.trained import dump_trained, extend_schedules, load_trained
from lightning_template.engine.loops.workers import GRACE, is_worker_death, stop_on_worker_death
from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.process.signals import stop_signals


class FitLoop(BaseFitLoop):
    """Lightning's loop over epochs, with a boundary after each."""

    epoch_loop: "EpochLoop"

    def run(self) -> None:
        """Run the epochs.

        Raises:
            Stopped: If a signal to this process ended the workers of a DataLoader too, within a step or a validation.
        """
        self.epoch_loop.restore_callback_metrics()
        with self.epoch_loop.tells_saved_step(), stop_signals.hold(), stop_on_worker_death(self.trainer):
            super().run()

    def setup_data(self) -> None:
        """Request the training loader, whose workers may start to load at once.

        Raises:
            ValueError: If it has no batches: Lightning would train nothing and report success.
        """
        if self.loads_data:
            self.epoch_loop.save_random_state()
        super().setup_data()
        if self.max_batches == 0 and self.trainer.limit_train_batches != 0:
            raise ValueError("the training set has no batches: is it empty, or `limit_train_batches` too small?")

    def on_advance_start(self) -> None:
        """Start an epoch."""
        self.epoch_loop.watch_attributes()  # after the hooks that set up what training needs
        if self.epoch_loop.resumes_between_epochs:
            self.epoch_loop.restore_state()
        if self.epoch_loop.resumes:
            self.plan_reload(self.epoch_loop.resumes_between_epochs)
        super().on_advance_start()
        extend_schedules(self.trainer)
        if self.epoch_loop.resumes:
            self.finish_restart()  # else a plateau schedule would not step at the end of this epoch

    def on_advance_end(self) -> None:
        """End an epoch."""
        super().on_advance_end()
        self.epoch_loop.reach_boundary(epoch_ended=True)


class EpochLoop(SavedStep, BaseEpochLoop):
    """Lightning's loop over the batches of an epoch, with a boundary after each optimizer step."""

    _random_state_before: dict[str, Any] | None = None  # from which the order of the data is drawn
    _random_state_of_fetch: dict[str, Any] | None = None  # from which a batch was loaded that waits for its step
    _at_boundary: bool | None = None  # True between epochs, False between steps, None elsewhere
    _resumed: dict[str, Any] | None = None
    _attributes: ChangedAttributes | None = None

    @property
    def must_stop(self) -> bool:
        """Whether this process got a signal and has no other rank to agree with."""
        return stop_signals.received is not None and self.trainer.world_size == 1

    @property
    def resumes(self) -> bool:
        """Whether the run starts from a checkpoint that was written at a boundary."""
        return self._resumed is not None

    @property
    def resumes_between_epochs(self) -> bool:
        """Whether that boundary lies between two epochs."""
        return self._resumed is not None and self._resumed["between_epochs"]

    def save_random_state(self) -> None:
        """Save the random state from which the order of the data is drawn."""
        self._random_state_before = random_state(self.trainer.strategy.root_device)

    def before_fetch(self) -> None:
        """Save the random state from which the next batch of a stream is loaded, before the step of the one before."""
        if self.trainer.num_training_batches == math.inf:
            self._random_state_of_fetch = random_state(self.trainer.strategy.root_device)

    def restore_callback_metrics(self) -> None:
        """Show callbacks and schedules the metrics of the checkpoint until there are new ones."""
        if self._resumed is not None:
            self.restore_metrics(self._resumed["callback_metrics"])

    def watch_attributes(self) -> None:
        """Find out which attributes of the module change from here on."""
        self._attributes = self._attributes or ChangedAttributes(self.trainer.lightning_module)

    def restore_state(self) -> None:
        """Restore the random state of this rank, and the changed attributes of its module, from the checkpoint."""
        assert self._resumed is not None
        rank = self._resumed["ranks"][self.trainer.global_rank]
        set_random_state(rank["random_state"], self.trainer.strategy.root_device)
        if attributes := self._attributes:
            attributes.load(rank.get("attributes", {}), self.trainer.strategy.root_device)

    def reset(self) -> None:
        """Start an epoch, or resume within one."""
        if self._resumed is not None:
            self.restarting = False
            self.reset_restart_stage()
        if self._resumed is None or self._resumed["between_epochs"]:
            super().reset()

    def on_run_start(self, data_fetcher: DataFetcher) -> None:
        """Start the loader, at its position in the checkpoint on resume."""
        resumed = self._resumed
        if resumed is None:
            if self.trainer.current_epoch > 0 and not self.trainer.fit_loop.is_resuming and not self.restarting:
                self.save_random_state()
            super().on_run_start(data_fetcher)
            return
        rank = resumed["ranks"][self.trainer.global_rank]
        position = self.batch_progress.current.ready
        if resumed["between_epochs"]:
            self.save_random_state()
            iter(data_fetcher)
        else:
            self._random_state_before = rank["random_state_before"]
            set_random_state(rank["random_state_before"], self.trainer.strategy.root_device)
            self._skip_batches(position, data_fetcher, rank.get("random_state_of_fetch"))
            self.restore_state()
            load_metrics(self.trainer.lightning_module, rank["metrics"])
        self._resumed = None
        data_fetcher.fetched = 0  # Lightning adds the position
        super().on_run_start(data_fetcher)
        if data_fetcher.length is not None:
            data_fetcher.done = data_fetcher.fetched >= data_fetcher.length

    def on_advance_end(self, data_fetcher: DataFetcher) -> None:
        """Reach a boundary after an optimizer step, unless the epoch ends with it."""
        super().on_advance_end(data_fetcher)
        if not self.has_seen_all_batches and not self.has_pending_gradients:
            self.reach_boundary(epoch_ended=False)

    def reach_boundary(self, epoch_ended: bool) -> None:
        """Call the callbacks that act at a boundary, and stop if any rank got a signal.

        Raises:
            Stopped: If this process, or that of another rank, got a signal.
        """
        trainer = self.trainer
        signal = stop_signals.received or 0
        if trainer.world_size > 1:
            number = torch.tensor(float(signal), device=trainer.strategy.root_device)
            signal = int(trainer.strategy.reduce(number, reduce_op="max"))
        self._at_boundary = epoch_ended
        for callback in trainer.callbacks:
            if isinstance(callback, Boundary):
                callback.on_boundary(trainer, trainer.lightning_module, epoch_ended, stops=signal > 0)
        self._at_boundary = None
        if signal:
            raise Stopped(signal, trainer.global_step, speaks=trainer.is_global_zero)

    def stop_without_data(self, error: Exception) -> None:
        """Stop where a signal ended the DataLoader's workers; return where the error says enough.

        Args:
            error: Error of a step, or of the loading of its batch.

        Raises:
            Stopped: If this process got the signal too, and is between two steps.
            RuntimeError: If a worker died without a signal to this process.
        """
        progress = self.batch_progress.current
        if progress.ready != progress.completed or not is_worker_death(error):  # a step was begun
            return
        if stop_signals.comes_within(GRACE):
            if self.must_stop and not self.has_pending_gradients:
                self.reach_boundary(epoch_ended=False)
        elif isinstance(error, ConnectionError):  # while it passed on a batch
            raise RuntimeError("a worker of a DataLoader was killed, perhaps because memory ran out") from error

    def on_save_checkpoint(self) -> dict[str, Any]:
        """Return Lightning's state and, at a boundary, what it leaves out."""
        state: dict[str, Any] = super().on_save_checkpoint()
        if self._at_boundary is None:
            return state
        trainer, self.saved_step = self.trainer, self.trainer.global_step
        rank = {
            "random_state": random_state(trainer.strategy.root_device),
            "random_state_before": self._random_state_before,
            "random_state_of_fetch": self._random_state_of_fetch,
            "metrics": {} if self._at_boundary else dump_metrics(trainer.lightning_module),
            "attributes": self._attributes.dump() if self._attributes else {},
        }
        ranks: list[Any] = [rank]
        if trainer.world_size > 1:
            ranks = [None] * trainer.world_size
            torch.distributed.all_gather_object(ranks, rank)
        metrics = {name: value.cpu() for name, value in trainer.callback_metrics.items()}
        trained = dump_trained(trainer.lightning_module)
        resumes = {"between_epochs": self._at_boundary, "ranks": ranks, "callback_metrics": metrics, "trained": trained}
        return {**state, **resumes}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        """Restore Lightning's state; the rest waits until training starts.

        Raises:
            ValueError: If the checkpoint is of another number of ranks.
        """
        super().on_load_checkpoint(state_dict)
        self._resumed = state_dict if "ranks" in state_dict else None
        if "trained" in state_dict:  # a checkpoint of an earlier version has it not
            load_trained(self.trainer.lightning_module, state_dict["trained"])
        if self._resumed and len(state_dict["ranks"]) != self.trainer.world_size:
            raise ValueError(
                f"the checkpoint is of {len(state_dict['ranks'])} processes, and this run has "
                f"{self.trainer.world_size}: give as many `trainer.devices`"
            )

    def _skip_batches(self, position: int, data_fetcher: DataFetcher, random_state_of_fetch: Any = None) -> None:
        """Skip `position` batches: without loading them where the order has `start_at`."""
        loaders = data_fetcher.combined_loader.flattened
        orders = [getattr(loaders[0], name, None) for name in ("batch_sampler", "sampler")]
        start_at = next((order.start_at for order in orders if order is not None and hasattr(order, "start_at")), None)
        if len(loaders) == 1 and start_at is not None:
            start_at(position)
            iter(data_fetcher)
        else:
            iter(data_fetcher)
            for number in range(position):
                if random_state_of_fetch and number == position - 1:  # a stream loads the batch after it too
                    set_random_state(random_state_of_fetch, self.trainer.strategy.root_device)
                skip_batch(data_fetcher)

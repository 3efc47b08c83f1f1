"""Private parts of Lightning's loops, and the steps that leave out what Lightning does around them.

Imported only where `known_version()`. These steps repeat what `advance` and `run` of Lightning's loops do to weights,
counters and schedules. The tests in tests/engine/libraries check what is assumed of the installed version.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.optimization.automatic import _AutomaticOptimization
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer import call
from torch import Tensor
from torch.optim import Optimizer

DataFetcher = _DataFetcher
"""Iterates over a loader's batches; loops get theirs as an argument."""


class BaseFitLoop(_FitLoop):
    """Lightning's loop over epochs. The Trainer has no argument for another one."""

    @property
    def loads_data(self) -> bool:
        """Whether `setup_data` will ask for the training loader, rather than use the one it has."""
        return self._combined_loader is None or self._should_reload_train_dl

    def plan_reload(self, reloads_now: bool) -> None:
        """Have the training loader requested again in the epochs of a run that was never stopped.

        Args:
            reloads_now: Whether the epoch that starts is one of these; otherwise it is under way.
        """
        every = self.trainer.reload_dataloaders_every_n_epochs  # type: ignore[attr-defined]  # the Trainer's parts set it
        if every:
            since = self.trainer.current_epoch % every
            self._last_train_dl_reload_epoch = self.trainer.current_epoch - (since or every * reloads_now)

    def finish_restart(self) -> None:
        """Count as started, without its loop over batches: the public `restarting` is handed on to that."""
        self._restarting = False


class BaseEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with inner steps."""

    automatic_optimization: "DirectOptimization"

    @property
    def has_pending_gradients(self) -> bool:
        """Whether gradients wait for the next batch before the optimizer's step."""
        return self._should_accumulate()

    @property
    def has_seen_all_batches(self) -> bool:
        """Whether the epoch has no further batch; `done` is true for other reasons too."""
        return self._num_ready_batches_reached()

    @property
    def validates_in_epoch(self) -> bool:
        """Whether this epoch has a validation."""
        return self._should_check_val_epoch()

    @property
    def num_logged_steps(self) -> int:
        """Number of steps as the logger counts them."""
        return self._batches_that_stepped

    def restore_metrics(self, metrics: Mapping[str, Tensor]) -> None:
        """Have `trainer.callback_metrics` return these until there are new ones; it returns a copy."""
        self.trainer._logger_connector._callback_metrics.update(metrics)

    def before_fetch(self) -> None:
        """Do what is due before the training loader is asked for a batch."""

    def _on_before_fetch(self) -> None:
        super()._on_before_fetch()
        self.before_fetch()

    def inner_step(self, data_fetcher: DataFetcher) -> None:
        """Make a step without the hooks, logs and checks of `advance`."""
        trainer = self.trainer
        batch = next_batch(data_fetcher)
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

    def end_inner_step(self) -> None:
        """Do to schedules and counters what `on_advance_end` does, without a validation."""
        trainer = self.trainer
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=True)
        if trainer.accumulate_grad_batches == 1 or not self._should_accumulate():
            self._batches_that_stepped += 1

    def _to_device(self, batch: Any) -> Any:
        trainer = self.trainer
        task, device = trainer.lightning_module, trainer.strategy.root_device
        batch = trainer.precision_plugin.convert_input(batch)
        if self.automatic_optimization.is_direct and isinstance(batch, (tuple, list)):
            for part in batch:
                if not isinstance(part, Tensor) or part.device != device:
                    break
            else:
                return batch
        batch = task._on_before_batch_transfer(batch, dataloader_idx=0)
        return call._call_strategy_hook(trainer, "batch_to_device", batch, dataloader_idx=0)


class DirectOptimization(_AutomaticOptimization):
    """Lightning's optimization without the calls of hooks that nobody overrides."""

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
        task._current_fx_name = "training_step"  # `self.log` looks there for what it may do
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


def next_batch(data_fetcher: DataFetcher) -> Any:
    """Return the next batch, which is not the last one; bypass `CombinedLoader` where there is only one loader."""
    loaders = data_fetcher.combined_loader
    if data_fetcher.length is None or loaders.iterables is not loaders.flattened[0]:
        batch, _, _ = next(data_fetcher)
        return batch
    assert loaders._iterator is not None
    loaders._iterator._idx += 1
    data_fetcher.fetched += 1
    return next(loaders._iterator.iterators[0])


def skip_batch(data_fetcher: DataFetcher) -> None:
    """Take a batch from a loader, also where `training_step` would take it."""
    batch: Any = next(data_fetcher)
    if hands_over_iterator(data_fetcher):
        next(batch)


def hands_over_iterator(data_fetcher: DataFetcher) -> bool:
    """Tell whether `training_step` takes the loader's iterator instead of a batch."""
    return isinstance(data_fetcher, _DataLoaderIterDataFetcher)


def next_validation_time(trainer: Any) -> float | None:
    """Return when, by `time.monotonic`, a validation is due where `val_check_interval` is a time."""
    if trainer._val_check_time_interval is None:
        return None
    due: float = trainer._last_val_time + trainer._val_check_time_interval
    return due

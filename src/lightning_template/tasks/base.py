"""The loop, written once: what training, validation, test and prediction do with a batch."""

import warnings
from typing import Any, ClassVar, Literal

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lightning_template.engine.loops import is_watched, run_in_executions
from lightning_template.engine.measures import Measures
from lightning_template.engine.tasks import (
    build_lr_scheduler,
    build_optimizer,
    check_factory,
    complete_hooks,
    constructor_frame,
    plain_values,
)

Batch = tuple[Tensor, Tensor]


class SupervisedTask(LightningModule):
    """Learns to map inputs to targets. A batch is a pair `(inputs, targets)` with samples along dimension 0.

    A subclass defines `configure_metrics`, and overrides `check_shapes`, `compute_loss`, `predict` or
    `prediction_columns` where it differs.

    Args:
        network: Maps a batch of inputs `(N, ...)` to outputs `(N, ...)`.
        loss: Maps outputs and targets to a scalar, their mean over the batch.
        optimizer: Makes the optimizer from the parameters to train.
        lr_scheduler: Makes the learning rate schedule from the optimizer; a `total_steps` that the schedule takes
            and is not given is filled in from the length of the run.
        lr_scheduler_interval: Whether the schedule steps after each epoch or after each optimizer step.
        steps_per_execution: Largest number of training steps between two looks at what is logged; small networks train
            several times faster than with 1, to the same weights.
        compile_mode: How `torch.compile` compiles the network, if at all; "reduce-overhead" uses CUDA graphs.

    Raises:
        ValueError: If `steps_per_execution` is less than 1, or an optimizer or a schedule is given in place of what
            makes one.
    """

    monitor: ClassVar[str] = "val/loss"
    """Logged quantity that checkpoints, early stopping and plateau schedules watch."""
    mode: ClassVar[Literal["min", "max"]] = "min"
    """Whether the smallest or the largest value of `monitor` is the best."""

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        steps_per_execution: int = 50,
        compile_mode: Literal["default", "reduce-overhead", "max-autotune"] | None = None,
    ) -> None:
        super().__init__()
        if steps_per_execution < 1:
            raise ValueError(f"`steps_per_execution` must be at least 1, got {steps_per_execution}")
        check_factory("optimizer", optimizer)
        if lr_scheduler is not None:
            check_factory("lr_scheduler", lr_scheduler)
        with warnings.catch_warnings():
            # Lightning advises `ignore=["network"]`, which would break `load_from_checkpoint` for tasks made from YAML.
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`")
            self.save_hyperparameters(logger=False, frame=constructor_frame(self))
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_scheduler_interval = lr_scheduler_interval
        self.steps_per_execution = steps_per_execution
        if compile_mode is not None:
            self.network.compile(mode=compile_mode)  # in place: checkpoints are those of the network as it is
        metrics = self.configure_metrics()
        self.train_measures, self.val_measures, self.test_measures = (
            Measures(metrics.clone(prefix=f"{stage}/")) for stage in ("train", "val", "test")
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let subclasses override `setup` and `on_save_checkpoint` without `super()`: what they do here is done too."""
        super().__init_subclass__(**kwargs)
        complete_hooks(cls, SupervisedTask, ("setup", "on_save_checkpoint"))

    def configure_metrics(self) -> MetricCollection:
        """Return what to measure; each metric is fed `(predict(outputs), targets)` and logged as `stage/name`."""
        raise NotImplementedError(f"{type(self).__name__} must define `configure_metrics`")

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Raise a `ValueError` for shapes or dtypes that the loss would take though they do not belong together."""

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        loss: Tensor = self.loss(outputs, targets)
        return loss

    def predict(self, outputs: Tensor) -> Tensor:
        """Turn the network's outputs into predictions `(N, ...)` as metrics and people read them."""
        return outputs

    def prediction_columns(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return what `predict` writes to a table: for each column its name and values `(N,)` or `(N, num_values)`."""
        return {"value": self.predict(outputs)}

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Return figures for the dashboard beside those that every task gets, by their titles.

        Args:
            inputs: Inputs `(N, ...)` of the first batch of the validation set, on the CPU.
            predictions: What `predict` makes of the network's outputs for them.
            targets: Their targets.

        Returns:
            A `matplotlib.figure.Figure` for each title, or a number, which becomes a curve.
        """
        return {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(N, ...)` to the network's outputs `(N, ...)`."""
        outputs: Tensor = self.network(inputs)
        return outputs

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch; Lightning differentiates it and steps the optimizer."""
        loss, _ = self._measure(batch, "train", self.train_measures)
        if is_watched(self.trainer):
            self.log("train/loss_step", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Measure a batch of the validation set, and return the outputs, which callbacks draw figures from."""
        return self._measure(batch, "val", self.val_measures)[1]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of the test set."""
        self._measure(batch, "test", self.test_measures)

    def predict_step(self, batch: Batch | Tensor, batch_idx: int) -> dict[str, Tensor]:
        """Return the prediction table's columns for a batch `(inputs, targets)`, or for inputs alone."""
        if isinstance(batch, Tensor):
            return self.prediction_columns(self(batch))
        inputs, targets = batch
        return self.prediction_columns(self(inputs)) | {"target": targets}

    def _measure(self, batch: Batch, stage: str, measures: Measures) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        outputs = self(inputs)
        self.check_shapes(outputs, targets)
        loss = self.compute_loss(outputs, targets)
        measures.add(loss, outputs, targets, self.predict)
        if is_watched(self.trainer):
            if not self.trainer.training:
                measures.update(self.predict)
            if not measures.loss.is_logged:  # once in an epoch: Lightning keeps them until its end
                measures.loss.is_logged = True
                self.log(f"{stage}/loss", measures.loss, on_step=False, on_epoch=True, prog_bar=stage == "val")
                self.log_dict(measures.metrics, on_step=False, on_epoch=True)
        return loss, outputs

    def setup(self, stage: str) -> None:
        """Start measuring anew, and prepare the Trainer to make several steps in one go."""
        for measures in (self.train_measures, self.val_measures, self.test_measures):
            measures.reset()  # an interrupted run may have left something
        if stage == "fit":
            run_in_executions(
                self, SupervisedTask, self.steps_per_execution, lambda: self.train_measures.update(self.predict)
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and the schedule from what was injected."""
        optimizer = build_optimizer(self.optimizer, (p for p in self.parameters() if p.requires_grad))
        if self.lr_scheduler is None:
            return optimizer
        by_step = self.lr_scheduler_interval == "step"
        num_steps = self.trainer.estimated_stepping_batches if by_step else self.trainer.max_epochs
        scheduler = build_lr_scheduler(self.lr_scheduler, optimizer, num_steps, self.mode)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.lr_scheduler_interval, "monitor": self.monitor},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only hyper-parameters that weights-only loading takes: those from YAML, not objects made in Python."""
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = plain_values(checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY])

"""The base of all tasks: what training, validation, test and prediction do with a batch."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.wrappers import MultitaskWrapper

from lightning_template.engine.measures import Measures, per_stage
from lightning_template.engine.tasks import TaskModule, check_factories, save_plain_hyperparameters


class SupervisedTask(TaskModule):
    """Learns to map inputs to targets: tensors `(N, ...)`, or what holds such, as dicts, dataclasses and graphs do.

    A subclass defines `configure_metrics`, and overrides other methods where it differs.

    Args:
        network: Maps a batch of inputs `(N, ...)` to outputs `(N, ...)`.
        loss: Maps outputs and targets to a scalar, their mean over the batch.
        optimizer: Makes the optimizer from the parameters to train; only `fit` needs it.
        optimizer_groups: Options of the optimizer for some parameters, by pattern of their names.
        lr_scheduler: Makes the schedule from the optimizer; a length not given is that of the run.
        lr_scheduler_interval: Whether the schedule steps after each epoch or after each optimizer step.
    """

    monitor: ClassVar[str] = "val/loss"  # logged quantity that checkpoints, early stopping and plateau schedules watch
    mode: ClassVar[Literal["min", "max"]] = "min"  # whether its smallest or its largest value is the best

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        optimizer_groups: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        check_factories(optimizer, lr_scheduler)
        save_plain_hyperparameters(self)
        self.network, self.loss = network, loss
        self.optimizer, self.optimizer_groups = optimizer, optimizer_groups
        self.lr_scheduler, self.lr_scheduler_interval = lr_scheduler, lr_scheduler_interval
        self.train_measures, self.val_measures, self.test_measures = per_stage(self.configure_metrics(), self.predict)

    @abstractmethod
    def configure_metrics(self) -> MetricCollection | MultitaskWrapper:
        """Return what to measure; each metric is fed `(predict(outputs), targets)` and logged as `stage/name`."""

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        """Return inputs and targets of a batch; override it where that is no pair of both."""
        return (batch[0], batch[1]) if isinstance(batch, (tuple, list)) and len(batch) == 2 else self.no_pair(batch)

    def check_shapes(self, outputs: Any, targets: Any) -> None:
        """Raise a `ValueError` for shapes or dtypes that the loss would take though they do not belong together."""

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self.loss(outputs, targets)  # type: ignore[no-any-return]

    def loss_and_outputs(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """Return loss and outputs of a batch; training may compile this."""
        outputs = self(inputs)
        self.check_shapes(outputs, targets)
        return self.compute_loss(outputs, targets), outputs

    def predict(self, outputs: Any) -> Any:
        """Turn the network's outputs into predictions `(N, ...)` as metrics and people read them."""
        return outputs

    def prediction_columns(self, outputs: Any) -> dict[str, Any]:
        """Return what `predict` writes to a table: for each column its name and values `(N,)` or `(N, num_values)`."""
        return {"value": self.predict(outputs)}

    def figures(self, inputs: Any, predictions: Any, targets: Any) -> dict[str, Any]:
        """Return matplotlib figures or numbers for the dashboard by title, made of the first validation batch."""
        return {}

    def forward(self, inputs: Any) -> Any:
        """Map inputs `(N, ...)` to the network's outputs `(N, ...)`."""
        return self.network(inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch; Lightning differentiates it and steps the optimizer."""
        loss, _ = self._measure(batch, self.train_measures)
        self.log("train/loss_step", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Measure a batch of the validation set, and return the outputs, from which callbacks draw figures."""
        return self._measure(batch, self.val_measures)[1]

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch of the test set."""
        self._measure(batch, self.test_measures)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Return the prediction table's columns for a batch, whose targets may be None, or for a tensor of inputs."""
        inputs, targets = (batch, None) if isinstance(batch, Tensor) else self.unpack(batch)
        return self.prediction_columns(self(inputs)) | ({} if targets is None else {"target": targets})

    def _measure(self, batch: Any, measures: Measures) -> tuple[Tensor, Any]:
        inputs, targets = self.unpack(batch)
        loss, outputs = self.loss_and_outputs(inputs, targets)
        measures.update(loss, outputs, targets)
        return loss, outputs

    def on_train_epoch_end(self) -> None:
        """Log the mean loss and the metrics of the epoch; Lightning computes and resets them."""
        self.log_dict(self.train_measures.results())

    def on_validation_epoch_end(self) -> None:
        """Log those of the validation set, the loss in the progress bar too."""
        for name, metric in self.val_measures.results().items():
            self.log(name, metric, prog_bar=name == "val/loss")

    def on_test_epoch_end(self) -> None:
        """Log those of the test set."""
        self.log_dict(self.test_measures.results())

"""Figures of what a task predicts on the validation set, in TensorBoard."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_template.engine.callbacks.observer import untouched
from lightning_template.engine.callbacks.tensorboard import experiments
from lightning_template.engine.dashboard import pictures, plots
from lightning_template.engine.dashboard.data_picture import DataPicture
from lightning_template.engine.dashboard.kinds import (
    are_numbers,
    class_names,
    images_of,
    is_classification,
    pair,
    probabilities,
    unpacks,
)
from lightning_template.engine.dashboard.projector import project
from lightning_template.engine.drawing import are_images, tiles
from lightning_template.engine.libraries.lightning_trainer import batches_that_stepped
from lightning_template.engine.nests import map_tensors

Drawing = tuple[str, Callable[[], Any]]
"""Title, and what draws a figure or computes a number."""


class Figures(DataPicture):
    """Shows what a task predicts, after every few epochs and after the last.

    It knows of a task what its `validation_step` returns, the outputs of a batch, and its `predict`.

    - Classification, where targets are integers `(N,)` and predictions probabilities: sample images, the worst
      mistakes, confusion matrix, accuracy of each class, reliability diagram, precision-recall curves.
    - Regression: data, predictions and residuals, and the error of each of the datamodule's `true_parameters`.
    - A network whose first layer is a convolution: its filters.
    - Each task: what its `figures` returns.

    With several ranks the figures show the first rank's share. Without validation they show a training batch, after
    the last epoch.

    Args:
        every_n_epochs: Number of epochs from one time to the next, counted back from the last; if not given 5, or a
            tenth of a run that is longer than 50.
        num_samples: Number of sample images.
        num_mistakes: Number of images whose true class was given the lowest probability.
        confusion_matrix: Whether to show the confusion matrix.
        class_accuracy: Whether to show the accuracy of each class.
        calibration: Whether to show the reliability diagram, and log `val/calibration_error`.
        pr_curves: Whether to show a precision-recall curve for each class.
        regression: Whether to show data, predictions and residuals.
        filters: Whether to show the first convolution's filters.
        num_projected: Number of validation samples whose features, the input of the last linear layer, are shown in
            the Projector at the end of training.
        data: Whether to show what the network gets, once, at the first step: the picture that `show` writes.

    Raises:
        ValueError: If `every_n_epochs` is less than 1.
    """

    def __init__(
        self,
        every_n_epochs: int | None = None,
        num_samples: int = 12,
        num_mistakes: int = 12,
        confusion_matrix: bool = True,
        class_accuracy: bool = True,
        calibration: bool = True,
        pr_curves: bool = True,
        regression: bool = True,
        filters: bool = True,
        num_projected: int = 0,
        data: bool = True,
    ) -> None:
        super().__init__(data)
        if every_n_epochs is not None and every_n_epochs < 1:
            raise ValueError(f"`every_n_epochs` must be at least 1, got {every_n_epochs}")
        self.every_n_epochs = every_n_epochs
        self.num_samples = num_samples
        self.num_mistakes = num_mistakes
        self.confusion_matrix = confusion_matrix
        self.class_accuracy = class_accuracy
        self.calibration = calibration
        self.pr_curves = pr_curves
        self.regression = regression
        self.filters = filters
        self.num_projected = num_projected
        self._forget()

    def _forget(self) -> None:
        self._first: tuple[Any, Any, Any] | None = None
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._mistakes: tuple[Tensor, Tensor, Tensor] | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out whether figures are due after this validation."""
        last = max(trainer.max_epochs or 0, 0)  # -1: without an end
        every_n_epochs = self.every_n_epochs or max(5, last // 10)
        self._is_due = (
            trainer.state.fn == TrainerFn.FITTING
            and not trainer.sanity_checking
            and (last - trainer.current_epoch - 1) % every_n_epochs == 0
            and bool(experiments(trainer))
        )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what figures need of a batch."""
        if self._is_due and dataloader_idx == 0:
            self.guard("figures of predictions", self._keep, pl_module, outputs, batch)

    def _keep(self, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        if not (hasattr(pl_module, "predict") and (isinstance(outputs, Tensor) or unpacks(pl_module))):
            return
        with untouched(pl_module):
            if (samples := pair(pl_module, batch)) is None:
                return
            predictions = map_tensors(Tensor.float, pl_module.predict(outputs))  # type: ignore[operator]  # a task's
        inputs, targets = samples
        if self._first is None:
            self._first = map_tensors(Tensor.cpu, (inputs, predictions, targets))
        if is_classification(predictions, targets):
            predictions = probabilities(predictions)
            self._seen.append((predictions.cpu(), targets.cpu()))
            images = images_of(inputs, len(targets)) if self.num_mistakes else None
            if images is not None:
                self._keep_mistakes(images, predictions, targets)

    def _keep_mistakes(self, images: Tensor, predictions: Tensor, targets: Tensor) -> None:
        """Keep the samples whose true class has the lowest probability of all so far."""
        wrong = (predictions.argmax(dim=1) != targets).nonzero().flatten()
        parts = [tensor[wrong] for tensor in (images, predictions, targets)]
        if self._mistakes is not None:
            parts = [torch.cat([kept, part]) for kept, part in zip(self._mistakes, parts, strict=True)]
        of_target = parts[1].gather(1, parts[2].unsqueeze(1)).flatten()
        worst = of_target.sort(stable=True).indices[: self.num_mistakes]
        images, predictions, targets = (part[worst] for part in parts)
        self._mistakes = images, predictions, targets

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the figures and log them."""
        if self._is_due:
            self._show(trainer, pl_module, "val")

    def _show(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        step = batches_that_stepped(trainer)
        for title, draw in self._drawings(trainer, pl_module, stage):
            self.guard(f"the figure {title}", pictures.log_drawing, experiments(trainer), title, draw, step)
        if self.pr_curves and self._seen:
            self.guard("precision-recall curves", self._log_pr_curves, trainer, step)
        self.guard("figures of the task", self._log_figures_of_the_task, trainer, pl_module, step)
        self._forget()

    def _drawings(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> Iterator[Drawing]:
        """Yield what is drawn and logged, one by one."""
        if self._seen:
            yield from self._of_classes(trainer, stage)
        elif self._first is not None and self.regression and are_numbers(*self._first[1:]):
            yield from self._of_numbers(trainer, stage, *self._first)
        layer = next((module for module in pl_module.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
        if self.filters and isinstance(layer, nn.Conv2d) and are_images(layer.weight):
            weight = layer.weight
            yield "first layer", lambda: tiles(weight.detach().float().cpu())

    def _of_classes(self, trainer: Trainer, stage: str) -> Iterator[Drawing]:
        assert self._first is not None
        inputs, predictions, targets = self._first
        images, number = images_of(inputs, len(targets)), self.num_samples
        seen = self._all_seen()
        names = class_names(trainer, seen[0].shape[1])
        if number and images is not None:
            first = images[:number], probabilities(predictions[:number]), targets[:number]
            yield "images/samples", lambda: pictures.images(*first, names)
        if self._mistakes is not None and len(self._mistakes[0]):
            worst, found, classes = (part.cpu() for part in self._mistakes)
            yield "images/worst mistakes", lambda: pictures.images(worst, found, classes, names)
        if self.confusion_matrix:
            yield "classes/confusion matrix", lambda: plots.confusion_matrix(plots.confusion_rates(*seen), names)
        if self.class_accuracy:
            yield "classes/accuracy", lambda: plots.class_accuracy(plots.confusion_rates(*seen), names)
        if self.calibration:
            yield "classes/calibration", lambda: plots.calibration(*seen)
            yield f"{stage}/calibration_error", lambda: plots.calibration_error(*seen)

    def _of_numbers(
        self, trainer: Trainer, stage: str, inputs: Any, predictions: Tensor, targets: Tensor
    ) -> Iterator[Drawing]:
        truth = getattr(trainer.datamodule, "true_parameters", {})  # type: ignore[attr-defined]
        is_line = isinstance(inputs, Tensor) and inputs[0].numel() == 1
        found = plots.fitted_line(inputs, predictions) if is_line else {}
        known = {name: (found[name], value) for name, value in truth.items() if name in found}
        yield "regression", lambda: plots.regression(inputs, predictions, targets, known)
        for name, (value, true_value) in known.items():
            yield f"{stage}/{name}_error", lambda error=value - true_value: error  # type: ignore[misc]

    def _all_seen(self) -> tuple[Tensor, Tensor]:
        predictions, targets = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        return predictions, targets

    def _log_pr_curves(self, trainer: Trainer, step: int) -> None:
        predictions, targets = self._all_seen()
        for index, name in enumerate(class_names(trainer, predictions.shape[1])):
            for experiment in experiments(trainer):
                experiment.add_pr_curve(f"precision and recall/{name}", targets == index, predictions[:, index], step)

    def _log_figures_of_the_task(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        if self._first is None or not hasattr(pl_module, "figures"):
            return
        with untouched(pl_module):
            figures = pl_module.figures(*self._first)  # type: ignore[operator]  # a task's
        for title, figure in figures.items():
            pictures.log_drawing(experiments(trainer), title, lambda figure=figure: figure, step)  # type: ignore[misc]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a training batch if there is no validation, and the features of some samples in the Projector."""
        if not experiments(trainer):
            return
        if trainer.val_dataloaders in (None, []):
            self.guard("figures of a training batch", self._show_training_batch, trainer, pl_module)
        elif self.num_projected:
            self.guard("the Projector", project, trainer, pl_module, self.num_projected)

    def _show_training_batch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with untouched(pl_module):
            batch = next(iter(trainer.train_dataloader))  # type: ignore[arg-type]  # a loader, after training
            batch = map_tensors(lambda tensor: tensor.to(pl_module.device), batch)
            if (samples := pair(pl_module, batch)) is None or not hasattr(pl_module, "predict"):
                return
            outputs = pl_module(samples[0])
        self._keep(pl_module, outputs, batch)
        self._show(trainer, pl_module, "train")

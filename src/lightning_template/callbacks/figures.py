"""Figures of what a task predicts on the validation set, in TensorBoard."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_template.callbacks import plots
from lightning_template.callbacks.dashboard import evaluating, experiments


class Figures(Callback):
    """Shows what a task predicts, after every few epochs and after the last.

    It knows of a task what its `validation_step` returns, the outputs of a batch, and its `predict`. Classification,
    where targets are integers `(N,)` and predictions probabilities, gets sample images, the worst mistakes, confusion
    matrix, accuracy of each class, reliability diagram and precision-recall curves; regression gets data, predictions
    and residuals, and for each of the datamodule's `true_parameters` the error; a network whose first layer is a
    convolution gets its filters. What the task's own `figures` returns comes beside them. With several ranks the
    figures are of the first rank's share, and without validation of a training batch, after the last epoch.

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
    ) -> None:
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
        self._is_due = False
        self._forget()

    def _forget(self) -> None:
        self._first: tuple[Tensor, Tensor, Tensor] | None = None
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._mistakes: tuple[Tensor, Tensor, Tensor] | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out whether figures are due after this validation."""
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else 0
        every_n_epochs = self.every_n_epochs or max(5, last // 10)
        self._is_due = (
            trainer.state.fn == TrainerFn.FITTING
            and not trainer.sanity_checking
            and (last - trainer.current_epoch - 1) % every_n_epochs == 0
            and bool(experiments(trainer))
        )
        self._forget()

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
            self._keep(pl_module, outputs, batch)

    def _keep(self, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        if not (isinstance(outputs, Tensor) and hasattr(pl_module, "predict")):
            return
        inputs, targets = batch
        predictions: Tensor = pl_module.predict(outputs).float()  # type: ignore[operator]  # a task's
        if self._first is None:
            self._first = inputs.cpu(), predictions.cpu(), targets.cpu()
        if _is_classification(predictions, targets):
            predictions = _probabilities(predictions)
            self._seen.append((predictions.cpu(), targets.cpu()))
            if self.num_mistakes and _are_images(inputs):
                self._keep_mistakes(inputs, predictions, targets)

    def _keep_mistakes(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> None:
        """Keep the samples whose true class has the lowest probability of all so far."""
        wrong = (predictions.argmax(dim=1) != targets).nonzero().flatten()
        parts = [tensor[wrong] for tensor in (inputs, predictions, targets)]
        if self._mistakes is not None:
            parts = [torch.cat([kept, part]) for kept, part in zip(self._mistakes, parts, strict=True)]
        of_target = parts[1].gather(1, parts[2].unsqueeze(1)).flatten()
        worst = of_target.sort(stable=True).indices[: self.num_mistakes]
        inputs, predictions, targets = (part[worst] for part in parts)
        self._mistakes = inputs, predictions, targets

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the figures and log them."""
        if self._is_due:
            self._show(trainer, pl_module, "val")

    def _show(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for experiment in experiments(trainer):
            for name, figure in self._draw(trainer, pl_module, stage):
                if isinstance(figure, float):
                    experiment.add_scalar(name, figure, step)
                else:
                    experiment.add_figure(name, figure, step)
            if self.pr_curves and self._seen:
                predictions, targets = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
                for index, name in enumerate(_class_names(trainer, predictions.shape[1])):
                    experiment.add_pr_curve(
                        f"precision and recall/{name}", targets == index, predictions[:, index], step
                    )
        self._forget()

    def _draw(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> Iterator[tuple[str, Any]]:
        if self._first is None:
            return
        inputs, predictions, targets = self._first
        if self._seen:
            all_predictions, all_targets = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
            names = _class_names(trainer, all_predictions.shape[1])
            rates = plots.rates_of(all_predictions, all_targets)
            if self.num_samples and _are_images(inputs):
                first = slice(self.num_samples)
                shown = plots.images(inputs[first], _probabilities(predictions)[first], targets[first], names)
                yield "images/samples", shown
            if self._mistakes is not None and len(self._mistakes[0]):
                worst, probabilities, classes = (part.cpu() for part in self._mistakes)
                yield "images/worst mistakes", plots.images(worst, probabilities, classes, names)
            if self.confusion_matrix:
                yield "classes/confusion matrix", plots.confusion_matrix(rates, names)
            if self.class_accuracy:
                yield "classes/accuracy", plots.class_accuracy(rates, names)
            if self.calibration:
                figure, error = plots.calibration(all_predictions, all_targets)
                yield "classes/calibration", figure
                yield f"{stage}/calibration_error", error
        elif self.regression and _are_numbers(predictions, targets):
            truth = getattr(trainer.datamodule, "true_parameters", {})  # type: ignore[attr-defined]
            found = plots.fitted_line(inputs, predictions) if inputs[0].numel() == 1 else {}
            known = {name: (found[name], value) for name, value in truth.items() if name in found}
            yield "regression", plots.regression(inputs, predictions, targets, known)
            for name, (value, true_value) in known.items():
                yield f"{stage}/{name}_error", value - true_value
        layer = next((module for module in pl_module.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
        if self.filters and isinstance(layer, nn.Conv2d) and layer.weight.shape[1] in (1, 3):
            yield "first layer", plots.filters(layer.weight.detach().float().cpu())
        if hasattr(pl_module, "figures"):
            yield from pl_module.figures(inputs, predictions, targets).items()  # type: ignore[operator]  # a task's

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a training batch if there is no validation, and the features of some samples in the Projector."""
        if not trainer.val_dataloaders and trainer.train_dataloader and experiments(trainer):
            batch = next(iter(trainer.train_dataloader))
            with evaluating(pl_module), torch.no_grad():
                inputs = batch[0] if isinstance(batch, (list, tuple)) else None
                outputs = pl_module(inputs.to(pl_module.device)) if isinstance(inputs, Tensor) else None
            self._keep(pl_module, outputs, batch)
            self._show(trainer, pl_module, "train")
        self._project(trainer, pl_module)

    def _project(self, trainer: Trainer, pl_module: LightningModule) -> None:
        last = next((module for module in reversed(list(pl_module.modules())) if isinstance(module, nn.Linear)), None)
        loaders = trainer.val_dataloaders
        if not (self.num_projected and last and loaders):
            return
        features: list[Tensor] = []
        handle = last.register_forward_hook(lambda module, args, output: features.append(args[0].detach().cpu()))
        inputs, targets = next(iter(loaders[0] if isinstance(loaders, list) else loaders))
        inputs, targets = inputs[: self.num_projected], targets[: self.num_projected]
        try:
            with evaluating(pl_module), torch.no_grad():
                pl_module(inputs.to(pl_module.device))
        finally:
            handle.remove()
        labels = targets.tolist()
        if not targets.is_floating_point():
            names = _class_names(trainer, int(targets.max()) + 1)
            labels = [names[label] for label in labels]
        images = None
        if _are_images(inputs):
            low, high = inputs.aminmax()
            images = (inputs.float().cpu() - low) / (high - low)
        for experiment in experiments(trainer):
            experiment.add_embedding(features[0].flatten(1), labels, images, trainer.global_step, "features")


def _is_classification(predictions: Tensor, targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point() and predictions.ndim <= 2


def _are_numbers(predictions: Tensor, targets: Tensor) -> bool:
    """Tell whether there is one number for each sample."""
    return targets.is_floating_point() and predictions.shape == targets.shape and targets.numel() == len(targets)


def _probabilities(predictions: Tensor) -> Tensor:
    """Return probabilities of each class, also where predictions are those of class 1 alone."""
    return torch.stack([1 - predictions, predictions], dim=1) if predictions.ndim == 1 else predictions


def _are_images(inputs: Tensor) -> bool:
    return inputs.ndim == 4 and inputs.shape[1] in (1, 3)


def _class_names(trainer: Trainer, number: int) -> Sequence[str]:
    """Return the datamodule's names of classes, or their numbers."""
    names = getattr(trainer.datamodule, "class_names", None)  # type: ignore[attr-defined]  # the Trainer's parts set it
    return names if names is not None and len(names) >= number else [str(index) for index in range(number)]

"""Charts of what a model predicts, from predictions and targets alone. matplotlib is imported when one is drawn."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchmetrics.utilities.plot import plot_confusion_matrix

from lightning_template.engine.drawing import bars, figure_of_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 15
"""Number of bins of confidence, as Guo et al. 2017, 'On calibration of modern neural networks', have them."""


def confusion_matrix(rates: Tensor, names: Sequence[str]) -> "Figure":
    """Draw how often each class is taken for which.

    Args:
        rates: Share of the samples of class `i` that were predicted as class `j`, `(num_classes, num_classes)`.
        names: Name of each class.
    """
    size = min(16.0, 3 + 0.4 * len(names))
    figure, (axes,) = figure_of_axes(size + 0.3, size, left=1.4, bottom=1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchmetrics 1.9 hands matplotlib tensors
        plot_confusion_matrix(rates, ax=axes, add_text=False, labels=list(names), cmap="Blues")
    axes.tick_params("y", labelrotation=0)
    if len(names) <= 20:
        for true, predicted in (rates >= 0.005).nonzero().tolist():  # zeros would hide what matters
            rate = rates[true, predicted].item()
            color = "white" if rate > 0.5 else "black"
            axes.text(predicted, true, f"{rate:.2f}", ha="center", va="center", fontsize=10, color=color)
    axes.set(xlabel="predicted", ylabel="true", title="share of each true class")
    return figure


def confusion_rates(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return the share of each true class that was predicted as each class.

    Args:
        predictions: Probabilities `(N, num_classes)`.
        targets: Class indices `(N,)`.

    Returns:
        Rates `(num_classes, num_classes)`; rows of classes without samples are 0.
    """
    num_classes = predictions.shape[1]
    counts = torch.bincount(targets * num_classes + predictions.argmax(dim=1), minlength=num_classes**2)
    counts = counts.view(num_classes, num_classes)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def class_accuracy(rates: Tensor, names: Sequence[str]) -> "Figure":
    """Draw the share of each class that is predicted right, lowest first.

    Args:
        rates: As `confusion_rates` returns them.
        names: Name of each class.
    """
    return bars(rates.diagonal(), names, "share predicted right")


def calibration_error(predictions: Tensor, targets: Tensor) -> float:
    """Return the expected calibration error: the mean over samples of |confidence - share right| of their bin.

    Args:
        predictions: Probabilities `(N, num_classes)`.
        targets: Class indices `(N,)`.
    """
    counts, shares, confidences = _bins(predictions, targets)
    return (counts @ (shares - confidences).abs() / counts.sum()).item()


def _bins(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return number of samples, share of right predictions and mean confidence for each bin of confidences."""
    confidence, predicted = predictions.double().max(dim=1)
    bins = (confidence * NUM_BINS).long().clamp(max=NUM_BINS - 1)
    counts, right, confidences = (
        torch.bincount(bins, weights, NUM_BINS)
        for weights in (torch.ones_like(confidence), predicted == targets, confidence)
    )
    return counts, right / counts.clamp(min=1), confidences / counts.clamp(min=1)


def calibration(predictions: Tensor, targets: Tensor) -> "Figure":
    """Draw how often predictions of each confidence are right.

    Args:
        predictions: Probabilities `(N, num_classes)`.
        targets: Class indices `(N,)`.
    """
    counts, shares, confidences = _bins(predictions, targets)
    error = calibration_error(predictions, targets)
    figure, (above, below) = figure_of_axes(4.5, 5.5, rows=2, left=0.8)
    edges = [(number + 0.5) / NUM_BINS for number in range(NUM_BINS)]
    above.bar(edges, shares.tolist(), 0.9 / NUM_BINS, color="tab:blue", label="share that is right")
    means = confidences[counts > 0].tolist()
    above.plot(means, means, "o--", color="tab:red", label="confidence")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share", title=f"expected calibration error {error:.3f}")
    above.legend()
    below.bar(edges, counts.tolist(), 0.9 / NUM_BINS, color="tab:gray")
    below.set(xlim=(0, 1), xlabel="confidence", ylabel="samples", yscale="log")
    below.set_ylim(bottom=0.8)
    below.yaxis.set_major_formatter("{x:g}")  # powers of ten would be set as formulas, which takes long
    below.yaxis.set_minor_formatter("")
    return figure


def fitted_line(inputs: Tensor, predictions: Tensor) -> dict[str, float]:
    """Return slope and intercept of the straight line nearest to predictions; nothing if there is but one input.

    Args:
        inputs: Inputs of one number each, `(N, ...)`.
        predictions: Predictions `(N,)` or `(N, 1)`.
    """
    x, y = inputs.flatten().double(), predictions.flatten().double()
    spread = x - x.mean()
    if not spread.any():
        return {}
    slope = (spread @ y / (spread @ spread)).item()
    return {"slope": slope, "intercept": y.mean().item() - slope * x.mean().item()}


def regression(inputs: Any, predictions: Tensor, targets: Tensor, known: Mapping[str, tuple[float, float]]) -> "Figure":
    """Draw targets, predictions and residuals, over the input if that is one number, or else over the prediction.

    Args:
        inputs: Inputs `(N, ...)`, or what holds tensors.
        predictions: Predictions `(N,)` or `(N, 1)`.
        targets: Targets in their shape.
        known: Found and true value of parameters whose truth is known.
    """
    predictions, targets = predictions.flatten(), targets.flatten()
    figure, (above, below) = figure_of_axes(6, 6, rows=2)
    if isinstance(inputs, Tensor) and inputs[0].numel() == 1:
        x, order = inputs.flatten().sort()
        predictions, targets = predictions[order], targets[order]
        above.plot(x, targets, ".", color="tab:gray", label="targets")
        above.plot(x, predictions, color="tab:blue", label="predictions")
        below.set(xlabel="input")
    else:
        x = predictions
        above.plot(x, targets, ".", color="tab:gray", label="targets")
        ends = [x.min().item(), x.max().item()]
        above.plot(ends, ends, "--", color="tab:blue", label="as predicted")
        below.set(xlabel="prediction")
    above.legend()
    above.set_title(", ".join(f"{name} {value:.3g} (true {truth:.3g})" for name, (value, truth) in known.items()))
    below.axhline(0, color="tab:blue")
    below.plot(x, targets - predictions, ".", color="tab:gray")
    below.set(ylabel="residual")
    return figure


def curve(inputs: Tensor, predictions: Tensor) -> "Figure":
    """Draw predictions over inputs.

    Args:
        inputs: Inputs of one number each, `(N, ...)`.
        predictions: Predictions `(N,)` or `(N, 1)`.
    """
    figure, (axes,) = figure_of_axes(6, 4)
    x, order = inputs.flatten().sort()
    axes.plot(x, predictions.flatten()[order], ".-", color="tab:blue")
    axes.set(xlabel="input", ylabel="prediction")
    return figure

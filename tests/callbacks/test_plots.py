"""The numbers in figures, against scikit-learn and plain loops."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor

from lightning_template.callbacks import pictures, plots

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def samples() -> tuple[Tensor, Tensor]:
    """500 predictions of four classes that are right more often than not."""
    targets = torch.randint(0, 4, (500,))
    logits = torch.randn(500, 4) + 1.5 * torch.nn.functional.one_hot(targets, 4)
    return logits.softmax(dim=1), targets


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title, *axes.get_yticklabels()]]


def test_rates_are_sklearns(samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    expected = confusion_matrix(targets, predictions.argmax(dim=1), normalize="true")
    np.testing.assert_allclose(plots.rates_of(predictions, targets), expected, atol=1e-6)


def test_a_class_without_samples_has_no_rates() -> None:
    rates = plots.rates_of(torch.eye(3), torch.tensor([0, 0, 1]))
    assert rates.tolist() == [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]]


def test_the_calibration_error_is_that_of_a_plain_loop(samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    bins: dict[int, list[tuple[float, bool]]] = {}
    for probabilities, target in zip(predictions.tolist(), targets.tolist(), strict=True):
        confidence = max(probabilities)
        right = probabilities.index(confidence) == target
        bins.setdefault(min(int(confidence * 15), 14), []).append((confidence, right))
    expected = sum(
        abs(sum(confidence for confidence, _ in items) - sum(right for _, right in items)) for items in bins.values()
    ) / len(targets)
    assert plots.calibration_error(predictions, targets) == pytest.approx(expected, abs=1e-5)
    figure = plots.calibration(predictions, targets)
    assert f"expected calibration error {expected:.3f}" in texts(figure)


def test_figures_name_classes_and_values(samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    rates = plots.rates_of(predictions, targets)
    cells = plots.confusion_matrix(rates, NAMES).axes[0].texts
    found = {tuple(map(round, cell.get_position())): cell.get_text() for cell in cells}
    expected = {(column, row): f"{rates[row, column]:.2f}" for row in range(4) for column in range(4)}
    assert {place: text.lstrip("0") for place, text in found.items()} == {
        place: text.lstrip("0") for place, text in expected.items()
    }
    shown = texts(plots.class_accuracy(rates, NAMES))
    assert {f"{rates[index, index].item():.3f}" for index in range(4)} <= set(shown)
    lowest = int(rates.diagonal().argmin())
    assert plots.class_accuracy(rates, NAMES).axes[0].get_yticklabels()[-1].get_text() == NAMES[lowest]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_show_truth_and_prediction(channels: int, samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    figure = pictures.images(torch.randn(8, channels, 9, 7), predictions[:8], targets[:8], NAMES)
    (axes,) = figure.axes
    assert len(axes.images) == len(axes.texts) == 8
    for label, probabilities, target in zip(axes.texts, predictions, targets.tolist(), strict=False):
        first, second, *_ = label.get_text().splitlines()
        assert first == f"true: {NAMES[target]}"
        assert second == f"{NAMES[int(probabilities.argmax())]} {probabilities.max():.2f}"
        assert (label.get_color() == "black") == (int(probabilities.argmax()) == target)


def test_a_line_is_drawn_in_the_order_of_its_inputs() -> None:
    x = torch.tensor([[2.0], [0.0], [1.0]])
    figure = plots.regression(x, 3 * x, 3 * x + 1, {"slope": (2.9, 3.0)})
    points, line = figure.axes[0].lines
    assert np.asarray(line.get_xdata()).tolist() == [0, 1, 2]
    assert np.asarray(points.get_ydata()).tolist() == [1, 4, 7]
    residuals = np.asarray(figure.axes[1].lines[1].get_ydata())
    assert residuals.tolist() == [1, 1, 1]


def test_several_inputs_are_drawn_over_the_prediction() -> None:
    figure = plots.regression(torch.randn(5, 3), torch.arange(5.0), torch.zeros(5), {})
    assert figure.axes[1].get_xlabel() == "prediction"


def test_filters_of_grey_and_colour() -> None:
    for shape in ((13, 1, 3, 3), (5, 3, 3, 3)):
        weights = torch.randn(*shape)
        shown = [np.asarray(image.get_array()) for image in pictures.filters(weights).axes[0].images]
        for image, weight in zip(shown, weights, strict=True):  # in their order, on a scale that rises
            expected = weight.permute(1, 2, 0).squeeze(-1).numpy()
            assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] == pytest.approx(1, abs=1e-4)

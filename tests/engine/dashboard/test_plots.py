"""What charts and pictures show, against scikit-learn, plain loops and what can be seen by eye."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor

from lightning_template.engine.dashboard import pictures, plots
from lightning_template.engine.drawing import tiles

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def samples() -> tuple[Tensor, Tensor]:
    """500 predictions of four classes, unequally many and unequally often right."""
    targets = torch.randint(0, 40, (500,)).double().sqrt().long().clamp(0, 3)
    logits = torch.randn(500, 4) + torch.tensor([0.5, 1.0, 2.0, 4.0])[targets, None] * torch.eye(4)[targets]
    return (logits + torch.tensor([0, 0.5, 0, 0])).softmax(dim=1), targets


def labels(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def points(line: Any) -> list[tuple[float, float]]:
    return list(zip(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist(), strict=True))


def test_rates_are_sklearns(samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    expected = confusion_matrix(targets, predictions.argmax(dim=1), normalize="true")
    assert not np.allclose(expected, expected.T, atol=0.05)
    np.testing.assert_allclose(plots.confusion_rates(predictions, targets), expected, atol=1e-6)


def test_a_class_without_samples_has_no_rates() -> None:
    rates = plots.confusion_rates(torch.eye(3), torch.tensor([0, 0, 1]))
    assert rates.tolist() == [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]]


def test_the_confusion_matrix_has_truth_in_rows_and_predictions_in_columns() -> None:
    rates = torch.tensor([[0.8, 0.2, 0.0], [0.004, 0.396, 0.6], [0.005, 0.0, 0.995]])
    (axes,) = plots.confusion_matrix(rates, ["ant", "bee", "cat"]).axes
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), rates)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.get_title() == "share of each true class"
    assert labels(axes.xaxis) == labels(axes.yaxis) == ["ant", "bee", "cat"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first class is above
    shown = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert shown == {  # at (column, row)
        (0, 0): ("0.80", "white"),
        (1, 0): ("0.20", "black"),
        (1, 1): ("0.40", "black"),
        (2, 1): ("0.60", "white"),
        (0, 2): ("0.01", "black") if f"{rates[2, 0].item():.2f}" == "0.01" else ("0.00", "black"),
        (2, 2): ("0.99", "white") if f"{rates[2, 2].item():.2f}" == "0.99" else ("1.00", "white"),
    }
    colors = [axes.images[0].cmap(value).__getitem__(0) for value in (0.0, 1.0)]
    assert colors[0] > colors[1]  # dark is much


@pytest.mark.parametrize(("number", "has_texts"), [(20, True), (21, False)])
def test_a_large_confusion_matrix_has_no_numbers(number: int, has_texts: bool) -> None:
    figure = plots.confusion_matrix(torch.eye(number), [str(index) for index in range(number)])
    (axes,) = figure.axes
    assert len(axes.texts) == (number if has_texts else 0)
    assert {label.get_rotation() for label in axes.get_yticklabels()} == {0}
    assert max(figure.get_size_inches()) == pytest.approx(3.3 + 0.4 * number)
    size = max(plots.confusion_matrix(torch.eye(60), [""] * 60).get_size_inches())
    assert size == pytest.approx(16.3)  # and no more for more classes


def test_the_accuracy_of_each_class_stands_at_its_name_with_the_lowest_above() -> None:
    rates = torch.tensor([[0.75, 0.25, 0], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    (axes,) = plots.class_accuracy(rates, ["ant", "bee", "cat"]).axes
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in axes.patches]  # type: ignore[attr-defined]
    names = dict(zip(axes.get_yticks(), labels(axes.yaxis), strict=True))
    assert [(names[round(y)], width) for y, width in sorted(bars)] == [("cat", 1.0), ("ant", 0.75), ("bee", 0.25)]
    assert {text.get_text(): round(text.xy[1]) for text in axes.texts} == {"1.000": 0, "0.750": 1, "0.250": 2}  # type: ignore[attr-defined]
    assert axes.get_xlabel() == "share predicted right"
    assert axes.get_xlim() == (0, 1.12)  # room for the numbers


def bins_of(predictions: Tensor, targets: Tensor) -> dict[int, list[tuple[float, bool]]]:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for probabilities, target in zip(predictions.tolist(), targets.tolist(), strict=True):
        confidence = max(probabilities)
        right = probabilities.index(confidence) == target
        bins.setdefault(min(int(confidence * 15), 14), []).append((confidence, right))
    return bins


def test_the_calibration_error_is_that_of_a_plain_loop(samples: tuple[Tensor, Tensor]) -> None:
    expected = sum(
        abs(sum(confidence for confidence, _ in items) - sum(right for _, right in items))
        for items in bins_of(*samples).values()
    ) / len(samples[1])
    assert plots.calibration_error(*samples) == pytest.approx(expected, abs=1e-6)


def test_the_reliability_diagram_shows_each_bin(samples: tuple[Tensor, Tensor]) -> None:
    predictions, targets = samples
    predictions[0] = torch.tensor([1.0, 0, 0, 0])  # belongs to the last bin
    predictions[1] = torch.tensor([0.26, 0.25, 0.25, 0.24])
    bins = bins_of(predictions, targets)
    assert len(bins) < 15  # some are empty
    assert len(bins[3]) == 1
    figure = plots.calibration(predictions, targets)
    above, below = figure.axes
    for axes, expected in (
        (above, {number: sum(right for _, right in items) / len(items) for number, items in bins.items()}),
        (below, {number: len(items) for number, items in bins.items()}),
    ):
        assert len(axes.patches) == 15
        for number, bar in enumerate(axes.patches):
            assert bar.get_x() + bar.get_width() / 2 == pytest.approx((number + 0.5) / 15)  # type: ignore[attr-defined]
            assert bar.get_height() == pytest.approx(expected.get(number, 0))  # type: ignore[attr-defined]
            assert 0.5 / 15 < bar.get_width() < 1 / 15  # type: ignore[attr-defined]
    means = sorted(sum(confidence for confidence, _ in items) / len(items) for items in bins.values())
    assert np.asarray(points(above.lines[0])) == pytest.approx(np.array([means, means]).T, abs=1e-6)
    error = plots.calibration_error(predictions, targets)
    assert above.get_title() == f"expected calibration error {error:.3f}"
    legend = above.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"confidence", "share that is right"}
    assert above.get_ylim() == above.get_xlim() == below.get_xlim() == (0, 1)
    assert below.get_yscale() == "log"
    assert below.yaxis.get_major_formatter()(100) == "100"
    assert below.get_ylim()[0] == 0.8  # one sample can be seen
    assert (above.get_ylabel(), below.get_xlabel(), below.get_ylabel()) == ("share", "confidence", "samples")


def shown_images(figure: Any) -> list[tuple[int, int, Any]]:
    """Return column, row and pixels of each image; each lies within its cell."""
    found = []
    (axes,) = figure.axes
    height = -axes.get_ylim()[0] / max(1, len({image.get_extent()[2] for image in axes.images}))  # of a row
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        column, row = int(left), int(-top / height)
        assert column < left < column + 0.1 < column + 0.9 < right < column + 1
        assert -(row + 1) * height < bottom < bottom + 0.89 < top < -row * height
        pixels = np.asarray(image.get_array())
        found.append((column, row, pixels if pixels.ndim == 3 else pixels[..., None]))
    return found


def scaled(image: Tensor) -> Any:
    """Return what shows an image with its darkest pixel black and its brightest white, channels last."""
    return np.moveaxis(((image - image.min()) / (image.max() - image.min())).numpy(), 0, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_images_show_truth_and_prediction(channels: int, known: bool) -> None:
    inputs = torch.randn(6, channels, 5, 7)
    predictions = torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.7, 0.0, 0.1, 0.2], *([[0.1, 0.2, 0.3, 0.4]] * 4)])
    targets = torch.tensor([2, 3, 3, 3, 3, 0]) if known else None
    figure = pictures.images(inputs, predictions, targets, NAMES)
    (axes,) = figure.axes
    images = shown_images(figure)
    texts = [(*text.get_position(), text.get_text(), text.get_color()) for text in axes.texts]
    for (column, row, pixels), image, text in zip(images, inputs, texts, strict=True):
        np.testing.assert_allclose(pixels, scaled(image), atol=1e-6)
        assert pixels.shape == (5, 7, channels)
        assert column < text[0] < column + 0.1
        assert figure.axes[0].images[texts.index(text)].get_extent()[3] < text[1]  # above its image
        assert text[1] < figure.axes[0].get_ylim()[0] * row / 2 - 0.1
    assert [column for column, _, _ in images] == [0, 1, 2, 3, 0, 1]
    assert [row for _, row, _ in images] == [0, 0, 0, 0, 1, 1]
    assert axes.get_xlim() == (0, 4)
    assert [text[2] for text in texts[:2]] == [
        "true: c\nc 0.60\nb 0.20\na 0.10" if known else "c 0.60\nb 0.20\na 0.10",
        "true: d\na 0.70\nd 0.20\nc 0.10" if known else "a 0.70\nd 0.20\nc 0.10",
    ]
    assert [text[3] for text in texts] == (
        ["black", "tab:red", "black", "black", "black", "tab:red"] if known else ["black"] * 6
    )
    assert axes.images[0].cmap.name == "gray"


def test_few_images_of_two_classes() -> None:
    figure = pictures.images(
        torch.zeros(2, 1, 3, 3), torch.tensor([[0.25, 0.75]] * 2), torch.tensor([1, 0]), ["no", "yes"]
    )
    assert figure.axes[0].texts[1].get_text() == "true: no\nyes 0.75\nno 0.25"
    assert figure.axes[0].get_xlim()[1] == 2
    assert np.asarray(figure.axes[0].images[0].get_array()).max() == 0  # one grey is no division by zero


@pytest.mark.parametrize("shape", [(13, 1, 2, 3), (5, 3, 3, 3)])
def test_filters_of_grey_and_colour(shape: tuple[int, ...]) -> None:
    weights = torch.randn(*shape)
    figure = tiles(weights)
    images = shown_images(figure)
    for (_, _, pixels), weight in zip(images, weights, strict=True):
        np.testing.assert_allclose(pixels, scaled(weight), atol=1e-6)
    assert [column for column, _, _ in images] == [index % 12 for index in range(shape[0])]
    assert [row for _, row, _ in images] == [index // 12 for index in range(shape[0])]
    (axes,) = figure.axes
    assert axes.get_xlim() == (0, min(12, shape[0]))
    assert axes.get_ylim() == (-2 if shape[0] > 12 else -1, 0)
    assert axes.images[0].cmap.name == "gray"


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_the_fitted_line_is_that_of_least_squares(shape: tuple[int, ...]) -> None:
    x = torch.tensor([0.0, 1.0, 4.0, 9.0]).view(4, 1)
    y = torch.tensor([3.0, 2.0, 8.0, 30.0])
    slope, intercept = np.polyfit(x.flatten().numpy(), y.numpy(), 1)
    found = plots.fitted_line(x, y.view(shape))
    assert found == {"slope": pytest.approx(slope), "intercept": pytest.approx(intercept)}
    assert plots.fitted_line(torch.arange(3.0), 2 * torch.arange(3.0) + 1) == {"slope": 2, "intercept": 1}


def test_one_input_has_no_line() -> None:
    assert plots.fitted_line(torch.ones(3, 1), torch.arange(3.0)) == {}


def test_a_regression_is_drawn_in_the_order_of_its_inputs() -> None:
    x = torch.tensor([[2.0], [0.0], [1.0]])
    known = {"slope": (2.9001, 3.0), "intercept": (-1.0, 2.0)}
    figure = plots.regression(x, 3 * x, 3 * x + torch.tensor([[1.0], [-2.0], [0.5]]), known)
    above, below = figure.axes
    targets, predictions = above.lines
    assert points(predictions) == [(0, 0), (1, 3), (2, 6)]
    assert points(targets) == [(0, -2), (1, 3.5), (2, 7)]
    zero, residuals = below.lines
    assert points(residuals) == [(0, -2), (1, 0.5), (2, 1)]  # of the target above the prediction
    assert set(np.asarray(zero.get_ydata()).tolist()) == {0}
    assert above.get_title() == "slope 2.9 (true 3), intercept -1 (true 2)"
    assert (below.get_xlabel(), below.get_ylabel()) == ("input", "residual")
    assert [line.get_label() for line in above.lines] == ["targets", "predictions"]
    assert above.get_legend() is not None
    assert targets.get_linestyle() == residuals.get_linestyle() == "None"


def test_several_inputs_are_drawn_over_the_prediction() -> None:
    predictions, targets = torch.tensor([1.0, 5.0, 3.0]), torch.tensor([2.0, 4.0, 3.5])
    above, below = plots.regression(torch.randn(3, 2), predictions, targets, {}).axes
    assert points(above.lines[0]) == [(1, 2), (5, 4), (3, 3.5)]
    assert points(above.lines[1]) == [(1, 1), (5, 5)]  # where the target is as predicted
    assert points(below.lines[1]) == [(1, 1), (5, -1), (3, 0.5)]
    assert below.get_xlabel() == "prediction"
    assert [line.get_label() for line in above.lines] == ["targets", "as predicted"]
    assert above.get_title() == ""
    assert above.get_legend() is not None


def test_a_curve_of_predictions() -> None:
    (axes,) = plots.curve(torch.tensor([[2.0], [0.0], [1.0]]), torch.tensor([[5.0], [3.0], [4.0]])).axes
    assert points(axes.lines[0]) == [(0, 3), (1, 4), (2, 5)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("input", "prediction")


@pytest.mark.parametrize("number", [2, 40])
def test_figures_have_room_and_are_white(number: int) -> None:
    names = ["a class with a name"] * number
    for figure in (
        plots.confusion_matrix(torch.eye(number), names),
        plots.class_accuracy(torch.eye(number), [f"{index}" for index in range(number)]),
        plots.curve(torch.arange(3.0), torch.arange(3.0)),
        pictures.images(torch.randn(number, 1, 3, 3), torch.eye(number), None, names),
    ):
        assert figure.get_facecolor() == (1, 1, 1, 1)
        assert min(figure.get_size_inches()) > 1
        for axes in figure.axes:
            box = axes.get_position()
            assert 0 <= box.x0 < box.x1 <= 1
            assert 0 <= box.y0 < box.y1 <= 1


def inches(figure: Any) -> tuple[float, ...]:
    """Return width and height, and what lies beside, below and above the axes."""
    width, height = figure.get_size_inches()
    boxes = [axes.get_position() for axes in figure.axes]
    beside, below = min(box.x0 for box in boxes) * width, min(box.y0 for box in boxes) * height
    right, above = (1 - max(box.x1 for box in boxes)) * width, (1 - max(box.y1 for box in boxes)) * height
    return tuple(round(float(value), 3) for value in (width, height, beside, below, right, above))


@pytest.mark.parametrize("number", [3, 10])
def test_figures_have_room_for_their_labels(number: int) -> None:
    names = [f"class {index}" for index in range(number)]
    predictions, targets = torch.eye(number), torch.arange(number)
    size = round(3 + 0.4 * number, 3)
    x = torch.arange(5.0)
    assert inches(plots.confusion_matrix(predictions, names))[0] == round(size + 0.3, 3)
    with_square_axes = plots.confusion_matrix(predictions, names)
    with_square_axes.axes[0].set_aspect("auto")
    assert inches(with_square_axes) == (round(size + 0.3, 3), size, 1.4, 1.5, 0.2, 0.4)
    assert inches(plots.class_accuracy(predictions, names)) == (5, round(1 + 0.32 * number, 3), 1.3, 0.7, 0.2, 0.4)
    assert inches(plots.calibration(predictions, targets)) == (4.5, 5.5, 0.8, 0.7, 0.2, 0.4)
    assert inches(plots.regression(x, x, x, {})) == (6, 6, 1.3, 0.7, 0.2, 0.4)
    assert inches(plots.curve(x, x)) == (6, 4, 1.3, 0.7, 0.2, 0.4)
    assert inches(tiles(torch.randn(30, 1, 3, 3)))[:2] == (8.4, 2.1)
    for known, lines in ((targets, 4), (None, 3)):  # an image is 1.7 inches wide, a line a tenth of that
        figure = pictures.images(torch.randn(number, 1, 3, 3), predictions, known, names)
        columns, rows = min(4, number), -(-number // 4)
        height = 1.7 * (1.12 + 0.1 * lines) * rows
        assert inches(figure) == (round(1.7 * columns, 3), round(height, 3), 0, 0, 0, 0)

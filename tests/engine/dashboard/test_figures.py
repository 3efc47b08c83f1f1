"""What the figures of a run show and when, of a task whose predictions are known."""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from fitting import fit
from lightning_template.callbacks import Figures
from lightning_template.engine.dashboard import figures, pictures, plots, projector

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (".*does not have many workers", "Total length of `list`", ".*smaller than the logging interval")
]

PROBABILITIES = torch.tensor(
    [
        [0.50, 0.30, 0.20],
        [0.60, 0.30, 0.10],  # mistaken: the true class 1 has 0.30
        [0.20, 0.70, 0.10],
        [0.90, 0.06, 0.04],  # mistaken: 2 has 0.04
        [0.15, 0.45, 0.40],  # mistaken: 2 has 0.40
        [0.10, 0.20, 0.70],
        [0.25, 0.65, 0.10],  # mistaken: 0 has 0.25
        [0.40, 0.35, 0.25],  # right with little probability
    ]
)
TARGETS = torch.tensor([0, 1, 1, 2, 2, 2, 0, 0])
WORST = [3, 6, 1]  # of them the three with the lowest probability
NAMES = ["ant", "bee", "cat"]
IMAGES = torch.arange(8.0).view(8, 1, 1, 1) + torch.arange(6.0).view(1, 1, 2, 3) ** 2 / 30


class Recorder:
    """Takes the place of TensorBoard's writer, and keeps what it is given."""

    def __init__(self) -> None:
        self.figures: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self.scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.curves: dict[str, list[tuple[int, list[bool], list[float]]]] = defaultdict(list)
        self.embeddings: list[tuple[Any, ...]] = []

    def add_figure(self, title: str, figure: Any, step: int) -> None:
        self.figures[title].append((step, figure))

    def add_scalar(self, title: str, value: float, step: int) -> None:
        self.scalars[title].append((step, value))

    def add_pr_curve(self, title: str, labels: Tensor, predictions: Tensor, step: int) -> None:
        self.curves[title].append((step, labels.tolist(), predictions.tolist()))

    def add_embedding(self, *args: Any) -> None:
        self.embeddings.append(args)


@pytest.fixture
def shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    for module in (figures, projector):
        monkeypatch.setattr(module, "experiments", lambda trainer: [recorder])
    return recorder


class Known(LightningModule):
    """Predicts what the image's first pixel is the row of in a table; its first layer is a convolution."""

    monitor = None

    def __init__(self, table: Tensor = PROBABILITIES) -> None:
        super().__init__()
        self.table = table
        self.filters = nn.Conv2d(1, 2, (2, 3))
        self.hidden = nn.Linear(2, 5)
        self.last = nn.Linear(5, 3)
        self.given: list[tuple[Tensor, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.last(self.hidden(self.filters(x).flatten(1)))
        return self.table[x[:, 0, 0, 0].long()]

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def figures(self, *given: Tensor) -> dict[str, Any]:
        self.given.append(given)
        return {"own/number": 0.5, "own/figure": "a figure"}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        out: Tensor = self.last(self.hidden(self.filters(batch[0]).flatten(1))).sum()
        return out

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        out: Tensor = self(batch[0])
        return out

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Images(LightningDataModule):
    """The images in batches of three, three and two; a second validation set has them in another order."""

    class_names = NAMES

    def __init__(self, validates: bool = True, targets: Tensor = TARGETS) -> None:
        super().__init__()
        self.validates = validates
        self.data = TensorDataset(IMAGES, targets)

    def train_dataloader(self) -> Any:
        return DataLoader(self.data, batch_size=3)

    def val_dataloader(self) -> Any:
        flipped = TensorDataset(IMAGES.flip(0), TARGETS.flip(0))
        return [DataLoader(self.data, batch_size=3), DataLoader(flipped, batch_size=3)] if self.validates else []


def draw(recorder: Recorder, module: LightningModule, data: LightningDataModule, **options: Any) -> Recorder:
    fit(module, data, Figures(every_n_epochs=1, **options), max_epochs=1)
    return recorder


def texts(figure: Any) -> list[list[str]]:
    return [text.get_text().splitlines() for text in figure.axes[0].texts]


def pixels(figure: Any) -> list[Any]:
    return [np.asarray(image.get_array()).reshape(2, 3) for image in figure.axes[0].images]


def scaled(image: Tensor) -> Any:
    low, high = image.aminmax()
    return ((image - low) / (high - low)).view(2, 3).numpy()


def test_figures_of_a_classification_are_of_all_batches(shown: Recorder) -> None:
    module = Known()
    draw(shown, module, Images(), num_samples=2, num_mistakes=3)
    assert set(shown.figures) == {
        "images/samples",
        "images/worst mistakes",
        "classes/confusion matrix",
        "classes/accuracy",
        "classes/calibration",
        "first layer",
        "own/figure",
    }
    assert all([step for step, _ in drawn] == [2] for drawn in shown.figures.values())
    figure = {title: drawn[0][1] for title, drawn in shown.figures.items()}

    assert texts(figure["images/samples"]) == [
        ["true: ant", "ant 0.50", "bee 0.30", "cat 0.20"],
        ["true: bee", "ant 0.60", "bee 0.30", "cat 0.10"],
    ]
    assert [lines[:2] for lines in texts(figure["images/worst mistakes"])] == [
        ["true: cat", "ant 0.90"],
        ["true: ant", "bee 0.65"],
        ["true: bee", "ant 0.60"],
    ]
    for title, indices in (("images/samples", [0, 1]), ("images/worst mistakes", WORST)):
        for image, index in zip(pixels(figure[title]), indices, strict=True):
            np.testing.assert_allclose(image, scaled(IMAGES[index]), atol=1e-5)

    rates = confusion_matrix(TARGETS, PROBABILITIES.argmax(dim=1), normalize="true")
    np.testing.assert_allclose(figure["classes/confusion matrix"].axes[0].images[0].get_array(), rates, atol=1e-6)
    assert [label.get_text() for label in figure["classes/confusion matrix"].axes[0].get_yticklabels()] == NAMES
    axes = figure["classes/accuracy"].axes[0]
    bars = zip(axes.get_yticklabels(), axes.patches, strict=True)
    accuracies = {name.get_text(): bar.get_width() for name, bar in bars}
    assert accuracies == {name: pytest.approx(rates[index, index]) for index, name in enumerate(NAMES)}
    assert sum(bar.get_height() for bar in figure["classes/calibration"].axes[1].patches) == len(TARGETS)

    bins: dict[int, list[float]] = defaultdict(list)
    for row, target in zip(PROBABILITIES.tolist(), TARGETS.tolist(), strict=True):
        bins[int(max(row) * 15)].append(max(row) - (row.index(max(row)) == target))
    error = sum(abs(sum(distances)) for distances in bins.values()) / len(TARGETS)
    assert shown.scalars == {"val/calibration_error": [(2, pytest.approx(error))], "own/number": [(2, 0.5)]}

    filters = pixels(figure["first layer"])
    for image, weight in zip(filters, module.filters.weight.detach(), strict=True):
        np.testing.assert_allclose(image, scaled(weight), atol=1e-5)

    assert figure["own/figure"] == "a figure"
    ((inputs, predictions, targets),) = module.given  # the first batch
    torch.testing.assert_close(inputs, IMAGES[:3])
    torch.testing.assert_close(predictions, PROBABILITIES[:3])
    torch.testing.assert_close(targets, TARGETS[:3])


def test_precision_and_recall_are_of_each_class_and_its_probability(shown: Recorder) -> None:
    draw(shown, Known(), Images())
    assert set(shown.curves) == {f"precision and recall/{name}" for name in NAMES}
    for index, name in enumerate(NAMES):
        ((step, labels, probabilities),) = shown.curves[f"precision and recall/{name}"]
        assert step == 2
        assert labels == TARGETS.eq(index).tolist()
        assert probabilities == PROBABILITIES[:, index].tolist()


def test_one_probability_is_that_of_class_one(shown: Recorder) -> None:
    module, data = Known(PROBABILITIES[:, 0]), Images(targets=(TARGETS == 0).long())
    draw(shown, module, data, num_samples=2)
    assert texts(shown.figures["images/samples"][0][1]) == [
        ["true: bee", "ant 0.50", "bee 0.50"],
        ["true: ant", "bee 0.60", "ant 0.40"],
    ]
    assert shown.curves["precision and recall/bee"][0][2] == pytest.approx(PROBABILITIES[:, 0].tolist())
    assert shown.curves["precision and recall/ant"][0][2] == pytest.approx((1 - PROBABILITIES[:, 0]).tolist())


def test_classes_without_names_have_numbers(shown: Recorder) -> None:
    data = Images()
    data.class_names = NAMES[:2]
    draw(shown, Known(), data, num_samples=1)
    assert texts(shown.figures["images/samples"][0][1]) == [["true: 0", "0 0.50", "1 0.30", "2 0.20"]]


def test_right_predictions_are_no_mistakes(shown: Recorder) -> None:
    draw(shown, Known(), Images(targets=PROBABILITIES.argmax(dim=1)))
    assert "images/worst mistakes" not in shown.figures
    assert "images/samples" in shown.figures


@pytest.mark.parametrize("shape", [(1, 2, 3), (6,)])
def test_pictures_are_of_images_alone(shape: tuple[int, ...]) -> None:
    callback, module = Figures(), Known()
    trainer: Any = SimpleNamespace(datamodule=Images())
    callback._keep(module, PROBABILITIES, (torch.zeros(len(TARGETS), *shape), TARGETS))
    titles = {title for title, _ in callback._drawings(trainer, module, "val")}
    pictures_of_inputs = {"images/samples", "images/worst mistakes"}
    assert titles & pictures_of_inputs == (pictures_of_inputs if len(shape) == 3 else set())
    assert "classes/accuracy" in titles


SWITCHES: dict[str, tuple[Any, set[str]]] = {
    "num_samples": (0, {"images/samples"}),
    "num_mistakes": (0, {"images/worst mistakes"}),
    "confusion_matrix": (False, {"classes/confusion matrix"}),
    "class_accuracy": (False, {"classes/accuracy"}),
    "calibration": (False, {"classes/calibration", "val/calibration_error"}),
    "filters": (False, {"first layer"}),
    "pr_curves": (False, {f"precision and recall/{name}" for name in NAMES}),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_figure_can_be_switched_off(name: str, shown: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {"own/figure", "own/number"}.union(*(titles for _, titles in SWITCHES.values()))
    for plot in ("confusion_matrix", "class_accuracy", "calibration"):
        monkeypatch.setattr(plots, plot, lambda *_: "drawn")
    monkeypatch.setattr(pictures, "images", lambda *_: "drawn")
    monkeypatch.setattr(figures, "tiles", lambda *_: "drawn")
    value, titles = SWITCHES[name]
    draw(shown, Known(), Images(), **{name: value})
    assert {*shown.figures, *shown.scalars, *shown.curves} == everything - titles


class Line(LightningDataModule):
    """Noisy targets of y = 3x + 2 in two batches."""

    true_parameters = {"slope": 3.0, "intercept": 2.0, "curvature": 0.0}  # noqa: RUF012

    def __init__(self, validates: bool = True, inputs: int = 1) -> None:
        super().__init__()
        x = torch.tensor([4.0, 0.0, 1.0, 2.0, 9.0]).view(5, 1)
        self.data = TensorDataset(x.repeat(1, inputs), 3 * x + 2 + torch.tensor([[0.5], [-1.0], [0.0], [1.0], [7.0]]))
        self.validates = validates

    def train_dataloader(self) -> Any:
        return DataLoader(self.data, batch_size=3)

    def val_dataloader(self) -> Any:
        return self.train_dataloader() if self.validates else []


class Slope(LightningModule):
    """Predicts 2.5x + 1 from the first input."""

    monitor = None

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.5))

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        return self.weight * x[:, :1] + 1

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return 0 * self.weight

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        out: Tensor = self(batch[0])
        return out

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("validates", [True, False])
def test_a_regression_is_of_the_first_batch_with_its_distance_from_the_truth(validates: bool, shown: Recorder) -> None:
    module = Slope()
    draw(shown, module, Line(validates), num_projected=2)
    stage, step = ("val", 1) if validates else ("train", 2)
    expected: dict[str, Any] = {"slope": pytest.approx(-0.5), "intercept": pytest.approx(-1.0)}
    assert shown.scalars == {f"{stage}/{name}_error": [(step, value)] for name, value in expected.items()}
    assert set(shown.figures) == {"regression"}
    above, below = shown.figures["regression"][0][1].axes
    assert np.asarray(above.lines[0].get_xydata()).tolist() == [[0, 1], [1, 5], [4, 14.5]]
    assert np.asarray(above.lines[1].get_xydata()).tolist() == [[0, 1], [1, 3.5], [4, 11]]
    assert np.asarray(below.lines[1].get_ydata()).tolist() == [0, 1.5, 3.5]
    assert above.get_title() == "slope 2.5 (true 3), intercept 1 (true 2)"
    assert module.training


def test_a_regression_of_several_inputs_and_without(shown: Recorder) -> None:
    draw(shown, Slope(), Line(inputs=2))
    assert shown.figures["regression"][0][1].axes[0].get_title() == ""
    assert not shown.scalars
    shown.figures.clear()
    draw(shown, Slope(), Line(), regression=False)
    assert not shown.figures


def test_without_validation_the_figures_are_of_a_training_batch(shown: Recorder) -> None:
    draw(shown, Known(), Images(validates=False), num_samples=1)
    assert shown.figures["images/samples"][0][0] == 3
    assert texts(shown.figures["images/samples"][0][1]) == [["true: ant", "ant 0.50", "bee 0.30", "cat 0.20"]]
    assert "train/calibration_error" in shown.scalars


@pytest.mark.parametrize(("layer", "drawn"), [((1, 2), True), ((3, 2), True), ((2, 2), False), (None, False)])
def test_filters_are_those_of_a_first_convolution_of_images(layer: tuple[int, int] | None, drawn: bool) -> None:
    module = Known()
    module.filters = nn.Conv2d(*layer, 2, dtype=torch.bfloat16) if layer else nn.Linear(1, 1)  # type: ignore[assignment]
    drawings = dict(Figures()._drawings(None, module, "val"))  # type: ignore[arg-type]
    assert set(drawings) == ({"first layer"} if drawn else set())
    if layer and drawn:
        assert len(drawings["first layer"]().axes[0].images) == 2


@pytest.mark.parametrize("named", [True, False])
def test_the_projector_shows_the_input_of_the_last_layer(named: bool, shown: Recorder) -> None:
    module, data = Known(), Images()
    if not named:
        data.class_names = []
    draw(shown, module, data, num_projected=2)
    ((features, labels, images, step, name),) = shown.embeddings
    expected = module.hidden(module.filters(IMAGES[:2]).flatten(1)).detach()
    torch.testing.assert_close(features, expected)
    assert labels == (["ant", "bee"] if named else [0, 1])
    low, high = IMAGES[:2].min(), IMAGES[:2].max()
    torch.testing.assert_close(images, (IMAGES[:2] - low) / (high - low))
    assert (step, name) == (3, "features")


def due(figure: Figures, max_epochs: int | None, num: int, **changes: Any) -> list[int]:
    """Return after which of the first epochs figures are due."""
    found = []
    for epoch in range(num):
        state = SimpleNamespace(fn=changes.get("fn", TrainerFn.FITTING))
        checking = changes.get("sanity_checking", False)
        trainer = SimpleNamespace(max_epochs=max_epochs, current_epoch=epoch, state=state, sanity_checking=checking)
        figure.on_validation_epoch_start(trainer, None)  # type: ignore[arg-type]
        found += [epoch + 1] if figure._is_due else []
    return found


@pytest.mark.parametrize(
    ("every", "max_epochs", "expected"),
    [
        (None, 12, [2, 7, 12]),
        (None, 3, [3]),
        (None, 50, [*range(5, 51, 5)]),
        (None, 60, [*range(6, 61, 6)]),
        (None, 100, [*range(10, 101, 10)]),
        (2, 5, [1, 3, 5]),
        (1, 3, [1, 2, 3]),
        (None, -1, [5, 10]),
        (None, None, [5, 10]),
    ],
)
def test_figures_are_drawn_after_the_last_epoch_and_every_few_before(
    every: int | None, max_epochs: int | None, expected: list[int], shown: Recorder
) -> None:
    num = max_epochs if max_epochs and max_epochs > 0 else 12
    assert due(Figures(every_n_epochs=every), max_epochs, num) == expected


def test_figures_are_of_training_alone(shown: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert due(Figures(), 1, 1) == [1]
    assert due(Figures(), 1, 1, fn=TrainerFn.VALIDATING) == []
    assert due(Figures(), 1, 1, sanity_checking=True) == []
    monkeypatch.setattr(figures, "experiments", lambda trainer: [])
    assert due(Figures(), 1, 1) == []


def test_each_time_has_its_own_predictions(shown: Recorder) -> None:
    fit(Known(), Images(), Figures(every_n_epochs=2, num_mistakes=20), max_epochs=3)
    assert [step for step, _ in shown.figures["images/worst mistakes"]] == [2, 8]
    assert [len(figure.axes[0].images) for _, figure in shown.figures["images/worst mistakes"]] == [4, 4]


def test_no_interval_less_than_an_epoch() -> None:
    with pytest.raises(ValueError, match="`every_n_epochs` must be at least 1, got 0"):
        Figures(every_n_epochs=0)


def test_nothing_is_drawn_without_a_writer(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "experiments", lambda trainer: [])
    monkeypatch.setattr(figures, "project", lambda *_: pytest.fail("drawn"))
    module = Known()
    for data in (Images(), Images(validates=False)):
        fit(module, data, Figures(every_n_epochs=1, num_projected=3), max_epochs=1)
    assert not module.given

"""Pictures of shapes: masks and labels agree with what is drawn, and views with each other."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_template.datamodules import ShapesDataModule


def load(**options: Any) -> tuple[Tensor, Tensor]:
    return ShapesDataModule(**{"num_samples": 40, "noise": 0.0} | options).load()[0]


def test_masks_are_the_shades_of_the_picture() -> None:
    pictures, masks = load()
    assert (pictures.shape, masks.shape) == ((40, 1, 32, 32), (40, 32, 32))
    assert set(masks.flatten().tolist()) == {0, 1, 2, 3}
    for picture, mask in zip(pictures[:, 0], masks, strict=True):
        for index in set(mask.flatten().tolist()):
            (shade,) = set(picture[mask == index].tolist())  # one for all pixels of a class
            assert shade <= 0.3 if index == 0 else shade >= 0.5


def test_shapes_are_what_they_are_called() -> None:
    _, masks = load(size=64, num_samples=100)
    names = ShapesDataModule().class_names
    filled: dict[str, list[float]] = {name: [] for name in names[1:]}
    for mask in masks:
        for index, name in enumerate(names[1:], start=1):
            alone = set(mask.flatten().tolist()) == {0, index}  # nothing lies over it
            if alone:
                rows, columns = (mask == index).nonzero().T
                height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
                filled[name].append(len(rows) / (height * width).item())
    assert sum(map(len, filled.values())) > 10
    for name, share in {"circle": 3.14159 / 4, "square": 1.0, "cross": 5 / 9}.items():
        assert filled[name] == pytest.approx([share] * len(filled[name]), abs=0.08), name


def test_labels_are_the_shapes_that_are_seen() -> None:
    _, masks = load()
    _, labels = load(targets="labels")
    expected = [[int((mask == index).any()) for index in (1, 2, 3)] for mask in masks]
    assert labels.tolist() == expected
    assert 0.3 < labels.float().mean() < 0.7


def test_views_have_the_same_shapes_elsewhere_in_other_shades() -> None:
    (views, labels), single = load(targets="labels", num_views=2), load(targets="labels")
    assert views.shape == (40, 2, 1, 32, 32)
    assert single[0].shape == (40, 1, 32, 32)
    bright = views[:, :, 0] > 0.4
    middles = []
    for view in range(2):
        rows = torch.arange(32).view(-1, 1) * bright[:, view]
        middles.append(rows.sum((1, 2)) / bright[:, view].sum((1, 2)).clamp(min=1))
    is_there = labels.any(1)
    distances = (middles[0] - middles[1]).abs()[is_there]
    assert 0.3 < distances.mean() < 3.1
    assert distances.max() < 6.5  # two shifts by up to 3 pixels, and rounding
    assert not (views[:, 0] == views[:, 1]).flatten(1).all(1).any()


def test_what_networks_and_tasks_need_is_known() -> None:
    masks, labels = ShapesDataModule(size=24), ShapesDataModule(targets="labels", num_views=2)
    assert (masks.input_shape, masks.num_classes, masks.num_targets) == ((1, 24, 24), 4, 0)
    assert (labels.input_shape, labels.num_classes, labels.num_targets) == ((1, 32, 32), 0, 3)
    assert masks.class_names == ("background", *labels.class_names)


@pytest.mark.parametrize("options", [{"num_samples": 3}, {"size": 15}, {"noise": -0.1}])
def test_arguments_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`num_samples` must be at least 4, `size` at least 16"):
        ShapesDataModule(**options)

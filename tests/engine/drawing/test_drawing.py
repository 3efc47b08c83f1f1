"""What figures show, read back from matplotlib."""

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from torch import Tensor

from lightning_template.engine.drawing import are_images, bars, lines, paint, rows_of_images, strips

TAB10 = colormaps["tab10"]


@pytest.mark.parametrize(
    ("shape", "expected"), [((2, 1, 4, 4), True), ((2, 3, 4, 4), True), ((2, 2, 4, 4), False), ((1, 4, 4), False)]
)
def test_images_are_grey_or_coloured(shape: tuple[int, ...], expected: bool) -> None:
    assert are_images(torch.zeros(shape)) == expected


@pytest.mark.parametrize("channels", [1, 3, 2])
def test_paint_mixes_an_image_with_the_color_of_each_class(channels: int) -> None:
    images = torch.rand(2, channels, 2, 3)
    masks = torch.tensor([[[0, 1, 2], [0, -100, 3]]] * 2)
    painted = paint(images, masks, 3)
    assert painted.shape == (2, 3, 2, 3)
    for image, found in zip(images, painted, strict=True):
        grey = (image - image.min()) / (image.max() - image.min()) if channels != 2 else torch.zeros(1, 2, 3)
        for row, column in np.ndindex(2, 3):
            is_class, pixel = masks[0, row, column] in (0, 1, 2), grey[:, row, column].expand(3)
            color = torch.tensor(TAB10(int(masks[0, row, column]) % 10)[:3])
            expected = 0.6 * pixel + 0.4 * color if is_class else pixel
            torch.testing.assert_close(found[:, row, column], expected.float())


def test_rows_lie_below_one_another_with_their_names() -> None:
    rows = {"one": torch.rand(3, 1, 4, 4), "other": torch.rand(3, 3, 4, 4)}
    (axes,) = rows_of_images(rows, ["a", "b"]).axes
    places = [(round(image.get_extent()[0]), round(image.get_extent()[2])) for image in axes.images]
    assert places == [(0, -1), (1, -1), (2, -1), (0, -2), (1, -2), (2, -2)]
    assert [text.get_text() for text in axes.texts] == ["one", "other", "a", "b"]
    assert axes.texts[3].get_color() == pytest.approx(list(TAB10(1)[:3]))


def test_strips_have_the_colors_of_classes_and_white_for_none() -> None:
    true, found = torch.tensor([[0, 1, -1]]), torch.tensor([[2, 1, -1]])
    (axes,) = strips({"true": true, "found": found}, ["a", "b", "c"]).axes
    (image,) = axes.images
    expected = [[TAB10(0)[:3], TAB10(1)[:3], (1, 1, 1)], [TAB10(2)[:3], TAB10(1)[:3], (1, 1, 1)]]
    np.testing.assert_allclose(np.asarray(image.get_array()), expected, rtol=1e-6)


def test_bars_come_largest_first_with_names() -> None:
    (axes,) = bars(torch.tensor([0.2, 0.9, 0.5]), ["a", "b", "c"], "share").axes
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.500", "0.200"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c", "a"]


def test_lines_are_those_of_each_sample() -> None:
    rows: dict[str, Tensor] = {"input": torch.rand(2, 5), "output": torch.rand(2, 5)}
    figure = lines(rows)
    for sample, axes in enumerate(figure.axes):
        for line, values in zip(axes.lines, rows.values(), strict=True):
            np.testing.assert_allclose(np.asarray(line.get_ydata()), values[sample])

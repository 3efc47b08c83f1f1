"""Augmentation of whole batches, checked image by image against torchvision and in distribution."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import functional

from lightning_template.transforms import (
    Augmentation,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
)

NUM_IMAGES, HEIGHT, WIDTH = 40, 6, 9


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_bytes(*shape: int) -> Tensor:
    return torch.randint(1, 256, shape, generator=generator(7), dtype=torch.uint8)


IMAGES = {
    "bytes": random_bytes(NUM_IMAGES, HEIGHT, WIDTH),
    "floats": torch.rand(NUM_IMAGES, HEIGHT, WIDTH, generator=generator(8)) + 1,
    "channels": random_bytes(NUM_IMAGES, 3, HEIGHT, WIDTH),
    "channels last": random_bytes(NUM_IMAGES, 3, HEIGHT, WIDTH).contiguous(memory_format=torch.channels_last),
    "transposed": random_bytes(NUM_IMAGES, WIDTH, HEIGHT).mT,
    "expanded": random_bytes(HEIGHT, WIDTH).expand(NUM_IMAGES, HEIGHT, WIDTH),
}
AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": RandomCrop(padding=2, fill=3),
    "flip": RandomHorizontalFlip(probability=0.4),
    "erase": RandomErasing(probability=0.6, fill=3),
}
every_kind = pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES.keys())
every_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())


def offsets(crop: RandomCrop, num_images: int, seed: int = 0) -> list[tuple[int, int]]:
    """Read the place of each window off images whose pixels count from 1; the fill must be 0."""
    images = torch.arange(1, HEIGHT * WIDTH + 1).view(HEIGHT, WIDTH).repeat(num_images, 1, 1)
    places = []
    for image in crop(images, generator(seed)):
        row, column = image.nonzero()[0].tolist()
        source_row, source_column = divmod(int(image[row, column]) - 1, WIDTH)
        places.append((source_row - row + crop.padding, source_column - column + crop.padding))
    return places


def flips(flip: RandomHorizontalFlip, num_images: int, seed: int = 0) -> list[bool]:
    images = torch.tensor([[0, 1]]).repeat(num_images, 1, 1)
    return [bool(image[0, 0]) for image in flip(images, generator(seed))]


def boxes(erase: RandomErasing, num_images: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Read top, left, height and width `(num_images, 4)` of each hole off images of ones; the fill must be 0."""
    holes = erase(torch.ones(num_images, height, width, dtype=torch.uint8), generator(seed)) == 0
    rows, columns = holes.any(2).int(), holes.any(1).int()
    return torch.stack([rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)], dim=1)


def reference_crop(images: Tensor) -> Iterator[Tensor]:
    for image, (top, left) in zip(images, offsets(RandomCrop(padding=2), NUM_IMAGES), strict=True):
        yield functional.crop(functional.pad(image, 2, fill=3), top, left, HEIGHT, WIDTH)


def reference_flip(images: Tensor) -> Iterator[Tensor]:
    for image, flipped in zip(images, flips(RandomHorizontalFlip(0.4), NUM_IMAGES), strict=True):
        yield functional.hflip(image) if flipped else image


def reference_erase(images: Tensor) -> Iterator[Tensor]:
    for image, box in zip(images, boxes(RandomErasing(0.6), NUM_IMAGES, HEIGHT, WIDTH).tolist(), strict=True):
        yield functional.erase(image, *box, v=torch.tensor(3))


REFERENCES: dict[str, Callable[[Tensor], Iterator[Tensor]]] = {
    "crop": reference_crop,
    "flip": reference_flip,
    "erase": reference_erase,
}


@every_kind
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_is_what_torchvision_makes_of_it(name: str, images: Tensor) -> None:
    before = images.clone()
    output = AUGMENTATIONS[name](images, generator())
    assert output.dtype == images.dtype
    assert output.shape == images.shape
    assert torch.equal(output, torch.stack(list(REFERENCES[name](before))))
    assert not torch.equal(output, before)
    assert torch.equal(images, before)


@every_augmentation
def test_is_a_function_of_images_and_generator(augmentation: Augmentation) -> None:
    images, first, second = IMAGES["bytes"], generator(), generator()
    before = torch.get_rng_state()
    output = augmentation(images, first)
    assert torch.equal(output, augmentation(images, second))
    assert not torch.equal(output, augmentation(images, second))  # the generator moves on
    assert not torch.equal(output, augmentation(images, generator(1)))
    assert torch.equal(torch.get_rng_state(), before)
    try:
        torch.set_default_dtype(torch.bfloat16)
        assert torch.equal(output, augmentation(images, generator()))
    finally:
        torch.set_default_dtype(torch.float32)


@every_augmentation
def test_stays_on_the_images_device(augmentation: Augmentation) -> None:
    with FakeTensorMode():  # holds no values, but fails where a GPU would: on tensors of two devices
        assert augmentation(torch.empty(4, 3, 8, 9, device="cuda"), generator()).device.type == "cuda"


@every_augmentation
@pytest.mark.parametrize("shape", [(0, 8, 9), (0, 3, 8, 9)])
def test_empty_batch(augmentation: Augmentation, shape: tuple[int, ...]) -> None:
    output = augmentation(torch.empty(shape, dtype=torch.uint8), generator())
    assert output.shape == shape
    assert output.dtype == torch.uint8


@every_kind
@pytest.mark.parametrize("augmentation", [RandomHorizontalFlip(0), RandomErasing(0)])
def test_probability_zero_returns_an_equal_copy(augmentation: Augmentation, images: Tensor) -> None:
    output = augmentation(images, generator())
    assert torch.equal(output, images)
    assert output.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()


def test_probability_one_always_acts() -> None:
    assert all(flips(RandomHorizontalFlip(1), 1000))
    assert (boxes(RandomErasing(1), 1000, HEIGHT, WIDTH)[:, 2:] > 0).all()


def test_probability_is_the_frequency() -> None:
    flipped = torch.tensor(flips(RandomHorizontalFlip(0.3), 2000))
    erased = boxes(RandomErasing(0.3), 2000, HEIGHT, WIDTH)[:, 2] > 0
    assert abs(flipped.float().mean() - 0.3) < 0.05  # five standard deviations
    assert abs(erased.float().mean() - 0.3) < 0.05


@pytest.mark.parametrize("padding", [1, 2])
def test_crops_are_evenly_spread(padding: int) -> None:
    side = 2 * padding + 1
    counts = Counter(offsets(RandomCrop(padding), 100 * side**2))
    assert set(counts) == {(top, left) for top in range(side) for left in range(side)}
    assert min(counts.values()) > 50  # 100 expected, five standard deviations
    assert max(counts.values()) < 150


def test_erased_places_are_evenly_spread() -> None:
    # not always, so that a place that depends on whether the image is erased shows
    found = boxes(RandomErasing(0.5, area=(0.28, 0.28), aspect=(1, 1)), 4800, height=4, width=8)
    found = found[found[:, 2] > 0]
    assert (found[:, 2:] == 3).all()
    counts = Counter((top, left) for top, left, _, _ in found.tolist())
    assert set(counts) == {(top, left) for top in range(2) for left in range(6)}
    assert min(counts.values()) > 130  # 200 expected, five standard deviations
    assert max(counts.values()) < 270


def test_erased_area_is_uniform_and_aspect_log_uniform() -> None:
    height, width = 96, 64  # so large that no side is clipped and rounding is small
    sides = boxes(RandomErasing(0.5, area=(0.05, 0.2), aspect=(0.5, 4)), 3000, height, width)[:, 2:].double()
    sides = sides[sides[:, 0] > 0]
    area = sides.prod(1) / (height * width)
    log_aspect = (sides[:, 0] / sides[:, 1]).log2()
    quantiles = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(area.quantile(quantiles), 0.05 + 0.15 * quantiles, atol=0.01, rtol=0)
    torch.testing.assert_close(log_aspect.quantile(quantiles), -1 + 3 * quantiles, atol=0.15, rtol=0)
    assert abs(torch.corrcoef(torch.stack([area, log_aspect]))[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("area", "aspect", "sides"),
    [(1, 1, [8, 9]), (0.8, 4, [8, 4]), (0.8, 0.25, [4, 10]), (1e-4, 1, [1, 1]), (0.1, 100, [8, 1])],
)
def test_erased_sides_are_clipped(area: float, aspect: float, sides: list[int]) -> None:
    wide = boxes(RandomErasing(1, (area, area), (aspect, aspect)), 50, height=8, width=10)
    tall = boxes(RandomErasing(1, (area, area), (1 / aspect, 1 / aspect)), 50, height=10, width=8)
    assert wide[:, 2:].tolist() == [sides] * 50
    assert tall[:, 2:].tolist() == [sides[::-1]] * 50


def test_the_defaults_are_those_of_the_paper() -> None:
    assert vars(RandomErasing()) == {"probability": 0.5, "area": (0.02, 0.33), "aspect": (0.3, 3.3), "fill": 0}
    assert vars(RandomHorizontalFlip()) == {"probability": 0.5}
    assert vars(RandomCrop(4)) == {"padding": 4, "fill": 0}


AREA_RULE = "be (low, high) with 0 < low <= high <= 1"
ASPECT_RULE = "be (low, high) with 0 < low <= high < inf"


@pytest.mark.parametrize(
    ("build", "name", "rule", "values"),
    [
        (RandomCrop, "padding", "be at least 1", [0, -2]),
        (RandomHorizontalFlip, "probability", "lie in [0, 1]", [-0.1, 1.5, math.nan]),
        (RandomErasing, "probability", "lie in [0, 1]", [-0.1, 1.5, math.nan]),
        (RandomErasing, "area", AREA_RULE, [(0, 0.5), (-0.1, 0.5), (0.5, 0.2), (0.5, 1.5), (math.nan, 0.5)]),
        (RandomErasing, "aspect", ASPECT_RULE, [(0, 1), (-1, 1), (2, 1), (1, math.inf), (1, math.nan)]),
    ],
)
def test_bad_argument(build: Callable[..., Augmentation], name: str, rule: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match="must") as error:
            build(**{name: value})
        assert str(error.value) == f"`{name}` must {rule}, got {value}"

"""Pairs, checked against plain loops over views."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lightning_template.engine.measures import PairAccuracy, pair_accuracy
from lightning_template.tasks import NTXentLoss, PairsTask


def make_task(network: nn.Module | None = None) -> PairsTask:
    return PairsTask(network or nn.Flatten(), NTXentLoss(0.3), partial(torch.optim.SGD, lr=0.1))


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def views_of(features: Tensor) -> list[tuple[int, Tensor]]:
    return [(sample, view) for sample, views in enumerate(features) for view in views]


def test_the_loss_is_that_of_a_loop() -> None:
    features, losses = torch.randn(5, 2, 4), []
    views = views_of(features)
    for number, (sample, view) in enumerate(views):
        others = [(of, cosine(view, other) / 0.3) for n, (of, other) in enumerate(views) if n != number]
        (partner,) = [value for of, value in others if of == sample]
        losses.append(math.log(sum(math.exp(value) for _, value in others)) - partner)
    assert NTXentLoss(0.3)(features, None).item() == pytest.approx(sum(losses) / 10, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_above_0(temperature: float) -> None:
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        NTXentLoss(temperature)


@pytest.mark.parametrize("sizes", [[23], [10, 13], [3, 9, 11], [1] * 23])
def test_accuracy_does_not_depend_on_batches(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_accuracy, "NUM_COMPARED", 10)
    first = torch.randn(23, 1, 4)
    features = torch.cat([first, first + 0.8 * torch.randn(23, 1, 4)], dim=1)
    metric = PairAccuracy()
    for part in torch.split(features, sizes):
        metric.update(part, torch.zeros(len(part)))
    right = 0
    for group in torch.split(features, 10):
        views = views_of(group)
        for number, (sample, view) in enumerate(views):
            others = [(cosine(view, other), of) for n, (of, other) in enumerate(views) if n != number]
            right += max(others)[1] == sample
    assert 0 < right < 46
    assert metric.compute().item() == pytest.approx(right / 46)
    assert len(torch.cat(metric.waiting)) < 10


def test_each_view_goes_through_the_network() -> None:
    torch.manual_seed(0)
    task = make_task(nn.Linear(3, 2))
    inputs = torch.randn(4, 2, 3)
    expected = torch.stack([task.network(inputs[:, 0]), task.network(inputs[:, 1])], dim=1)
    torch.testing.assert_close(task(inputs), expected)
    torch.testing.assert_close(task.predict_step((inputs, torch.zeros(4)), 0)["feature"], expected[:, 0])
    torch.testing.assert_close(task.predict_step(inputs[:, 1], 0)["feature"], expected[:, 1])


@pytest.mark.parametrize(
    ("inputs", "network", "message"),
    [
        (torch.zeros(4, 3), None, r"two views of each sample \(N, 2, ...\), got \(4, 3\)"),
        (torch.zeros(4, 1, 8, 8), None, r"two views of each sample \(N, 2, ...\), got \(4, 1, 8, 8\)"),
        (torch.zeros(4, 2, 1, 8, 8), nn.Identity(), r"features \(num_views, num_features\), got \(8, 1, 8, 8\)"),
    ],
)
def test_what_is_no_pair_is_refused(inputs: Tensor, network: nn.Module | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(network).training_step((inputs, torch.zeros(4)), 0)


def test_figures_show_the_nearest_other() -> None:
    inputs = torch.rand(3, 2, 1, 4, 4)
    features = torch.tensor([[[1.0, 0], [1, 0]], [[0, 1.0], [0.1, 1]], [[1, 0.2], [1, 0.2]]])
    (figure,) = make_task().figures(inputs, features, torch.zeros(3)).values()
    images = [torch.as_tensor(image.get_array()).squeeze() for image in figure.axes[0].images]
    others = [inputs[number, 1, 0] for number in (2, 2, 0)]
    for found, other in zip(images[6:], others, strict=True):
        low, high = torch.cat([inputs[:, 0], inputs[:, 1], inputs[[2, 2, 0], 1]]).aminmax()
        torch.testing.assert_close(found, (other - low) / (high - low))
    assert make_task().figures(torch.rand(3, 2, 5), features, torch.zeros(3)) == {}

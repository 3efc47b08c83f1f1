"""The autoencoder, whose targets are its inputs."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_template.tasks import AutoencoderTask


class Half(nn.Module):
    """Returns half of what it gets, so that errors are known."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / 2


def make_task(network: nn.Module | None = None) -> AutoencoderTask:
    return AutoencoderTask(network or Half(), nn.MSELoss(), partial(torch.optim.SGD, lr=0.1))


@pytest.mark.parametrize("shape", [(6,), (1, 4, 5)], ids=str)
def test_errors_are_those_of_the_inputs(shape: tuple[int, ...]) -> None:
    inputs, task = torch.randn(20, *shape), make_task()
    for part in torch.split(inputs, 8):
        task.validation_step((part, torch.full((len(part),), 7)), 0)  # of a class, which does not matter
    found = {name: metric.compute().item() for name, metric in task.val_measures.results().items()}
    mse = (inputs / 2).square().mean().item()
    assert found == pytest.approx({"val/loss": mse, "val/mse": mse, "val/mae": (inputs / 2).abs().mean().item()})


def test_inputs_alone_are_a_batch() -> None:
    inputs = torch.randn(4, 3)
    assert make_task().training_step(inputs, 0).item() == pytest.approx((inputs / 2).square().mean().item())


def test_the_table_has_each_samples_error() -> None:
    inputs = torch.tensor([[2.0, 0.0], [4.0, 4.0]])
    batches: list[Any] = [inputs, (inputs, torch.tensor([0, 1]))]
    for batch in batches:
        table = make_task().predict_step(batch, 0)
        assert list(table) == ["error", "value"]
        assert table["error"].tolist() == [0.5, 4.0]
        assert torch.equal(table["value"], inputs / 2)


@pytest.mark.parametrize(
    ("network", "inputs", "message"),
    [
        (nn.Flatten(), torch.zeros(2, 1, 4, 4), r"got outputs \(2, 16\) for inputs \(2, 1, 4, 4\)"),
        (nn.Identity(), torch.zeros(2, 4).long(), "inputs be floating point: .* of torch.int64"),
    ],
)
def test_what_does_not_fit_is_refused(network: nn.Module, inputs: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(network).training_step(inputs, 0)


def test_figures_show_inputs_and_outputs() -> None:
    images, task = torch.rand(3, 1, 4, 4), make_task()
    (figure,) = task.figures(images, images.flip(0), images).values()
    found = [torch.as_tensor(image.get_array()).squeeze() for image in figure.axes[0].images]
    assert len(found) == 6
    for above, below in zip(found[:3], found[5:2:-1], strict=True):
        assert torch.equal(above, below)
    (figure,) = task.figures(torch.rand(2, 7), torch.rand(2, 7), torch.rand(2, 7)).values()
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]

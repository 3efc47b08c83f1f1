"""Optimizers, against torch's own and against a singular value decomposition."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim import Muon as TorchMuon

from lightning_template.optimizers import Muon, orthogonalize


def gradients(*shape: int, steps: int = 4) -> list[Tensor]:
    return [torch.randn(shape) for _ in range(steps)]


def train(optimizer: Any, weight: Tensor, of_steps: list[Tensor]) -> Tensor:
    for gradient in of_steps:
        weight.grad = gradient.reshape(weight.shape).clone()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 5), (5, 1)], ids=str)
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_a_matrix_steps_as_with_torchs_muon(shape: tuple[int, int], weight_decay: float) -> None:
    start, of_steps = torch.randn(*shape), gradients(*shape)
    one, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    options: dict[str, Any] = {"lr": 0.05, "momentum": 0.8, "weight_decay": weight_decay}
    found = train(Muon([one], **options), one, of_steps)
    torch.testing.assert_close(found, train(TorchMuon([other], **options), other, of_steps), rtol=1e-2, atol=3e-3)
    assert (found - start).norm() > 0.1


def test_filters_step_as_the_rows_of_a_matrix() -> None:
    start, of_steps = torch.randn(8, 3, 2, 2), gradients(8, 12)
    filters = nn.Parameter(start.clone().to(memory_format=torch.channels_last))
    matrix = nn.Parameter(start.clone().flatten(1))
    found = train(Muon([filters], lr=0.05), filters, of_steps)
    torch.testing.assert_close(found.flatten(1), train(Muon([matrix], lr=0.05), matrix, of_steps))
    assert filters.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("shape", "options"), [((7,), {}), ((), {}), ((5, 3), {"orthogonal": False})], ids=str)
def test_the_others_step_as_with_nesterovs_momentum(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    start, of_steps = torch.randn(shape), gradients(*shape)
    one, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    sgd = SGD([other], lr=0.06, momentum=0.8, nesterov=True)
    found = train(Muon([one], lr=0.02, sgd_lr=3.0, momentum=0.8, **options), one, of_steps)
    torch.testing.assert_close(found, train(sgd, other, of_steps))


def test_decay_is_apart_from_the_gradient() -> None:
    weight = nn.Parameter(torch.full((3,), 2.0))
    train(Muon([weight], lr=0.1, sgd_lr=2.0, weight_decay=0.5), weight, [torch.zeros(3)] * 2)
    torch.testing.assert_close(weight.detach(), torch.full((3,), 2.0 * 0.9**2))


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (16, 16)], ids=str)
def test_singular_values_become_nearly_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalize(matrix)
    _, values, _ = torch.linalg.svd(result)
    assert 0.3 < values.min() <= values.max() < 1.3
    cosine = (result * (left @ right)).sum() / (result.norm() * (left @ right).norm())
    assert cosine > 0.97
    assert torch.equal(orthogonalize(torch.zeros(3, 4)), torch.zeros(3, 4))
    torch.testing.assert_close(orthogonalize(1e6 * matrix), result, rtol=1e-4, atol=1e-5)  # the scale does not matter


def test_groups_have_their_own_options_and_a_state_dict_goes_on() -> None:
    def make() -> tuple[nn.Linear, Muon]:
        layer = nn.Linear(3, 4)
        groups = [{"params": [layer.weight], "orthogonal": False, "lr": 0.5}, {"params": [layer.bias]}]
        return layer, Muon(groups, lr=0.1)

    (one, first), (other, second) = make(), make()
    inputs = torch.randn(8, 3)

    def step(layer: nn.Linear, optimizer: Muon) -> None:
        optimizer.zero_grad()
        layer(inputs).square().mean().backward()
        optimizer.step()

    step(one, first)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(one, first)
    step(other, second)
    for weight, expected in zip(other.parameters(), one.parameters(), strict=True):
        assert torch.equal(weight, expected)
    assert [group["lr"] for group in second.param_groups] == [0.5, 0.1]


def test_a_closure_is_called_and_weights_without_gradient_stay() -> None:
    weight, still = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = Muon([weight, still], lr=0.1, weight_decay=0.1)

    def closure() -> float:
        loss = weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert torch.equal(still, torch.ones(2))
    assert not torch.equal(weight, torch.ones(2, 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -0.1), ("lr", float("nan")), ("sgd_lr", float("inf")), ("weight_decay", -1.0), ("momentum", 1.0)],
)
def test_numbers_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must"):
        Muon([nn.Parameter(torch.ones(2))], **{name: value})  # type: ignore[arg-type]

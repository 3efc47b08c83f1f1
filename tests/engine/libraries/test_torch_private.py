"""What is changed about torch changes no result."""

import copy

import pytest
import torch
from torch.optim import Adam

from lightning_template.engine.libraries.torch_private import expect_no_gpu_graph


def test_an_optimizer_on_the_cpu_looks_for_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: asked.append(True))
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    first, second = (Adam([weight]) for weight in weights)
    expect_no_gpu_graph(second)
    for weight, optimizer in zip(weights, (first, second), strict=True):
        weight.grad = torch.ones(2)
        optimizer.step()
    assert asked == [True]
    assert torch.equal(*weights)
    assert copy.deepcopy(second).state_dict().keys() == first.state_dict().keys()

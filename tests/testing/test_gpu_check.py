"""The check of a GPU, with a device that pretends to be one."""

from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
from mutants import Classifier, Points

from lightning_template.testing.checks import hardware
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.subject import Subject


class Rounding(Classifier):
    """Has outputs that are off by a part of the largest on a GPU: `to` stands for its way there."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error, self.is_moved = error, False

    def to(self, *args: Any, **kwargs: Any) -> Self:
        self.is_moved = True
        return self

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(inputs)
        return outputs + self.is_moved * self.error * outputs.abs().max()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Have the checks see a GPU."""
    cuda = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setattr(hardware, "torch", SimpleNamespace(cuda=cuda, device=lambda _: torch.device("cpu")))
    return cuda


def test_rounding_is_allowed(gpu: SimpleNamespace) -> None:
    hardware.gpu_agrees_with_cpu(Subject(lambda: Rounding(0.008), Points))


def test_other_outputs_on_a_gpu_are_seen(gpu: SimpleNamespace) -> None:
    with pytest.raises(CheckFailed, match="the outputs on a GPU are off those on the CPU by more than 1 %"):
        hardware.gpu_agrees_with_cpu(Subject(lambda: Rounding(0.03), Points))


def test_without_a_gpu_there_is_nothing_to_check(gpu: SimpleNamespace) -> None:
    gpu.is_available = lambda: False
    with pytest.raises(CheckSkipped, match="there is no GPU"):
        hardware.gpu_agrees_with_cpu(Subject(lambda: Rounding(0.03), Points))

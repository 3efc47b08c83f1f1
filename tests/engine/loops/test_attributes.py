"""Attributes that training changes: which are saved, and what a resumed run gets."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchmetrics import SumMetric

from lightning_template.engine.loops.attributes import MAX_NUMBERS, ChangedAttributes


class Stateful(nn.Module):
    """Has attributes of many kinds, some of which a step changes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.inner.seen = 0  # type: ignore[assignment]
        self.hidden: Any = None
        self.history: Any = {"losses": [], 1: ("a", torch.zeros(1))}
        self.rate, self.data, self.kind = 0.5, torch.zeros(MAX_NUMBERS + 1), object
        self.metric = SumMetric()

    def step(self) -> None:
        self.inner.seen += 1  # type: ignore[assignment,operator]
        self.hidden = (torch.ones(2, requires_grad=True) * 2, [torch.ones(1)])
        self.history["losses"].append(0.25)
        self.data.add_(1)
        self.metric.update(1.0)


def test_attributes_that_training_changes_are_restored(tmp_path: Path) -> None:
    module, other = Stateful(), Stateful()
    watched, restored = ChangedAttributes(module), ChangedAttributes(other)
    assert watched.dump() == {}
    module.step()
    torch.save(watched.dump(), tmp_path / "x.pt")
    saved = torch.load(tmp_path / "x.pt", weights_only=True)
    assert {part: set(values) for part, values in saved.items()} == {"": {"hidden", "history"}, "inner": {"seen"}}
    other.rate = 0.1
    restored.load(saved, torch.device("cpu"))
    assert other.inner.seen == 1
    assert other.rate == 0.1, "what the run did not change is configured"
    assert other.history["losses"] == [0.25]
    assert other.history[1][0] == "a"
    assert other.hidden[0].tolist() == [2, 2]
    assert not other.hidden[0].requires_grad
    module.hidden[1][0].zero_()
    assert saved[""]["hidden"][1][0] == other.hidden[1][0] == 1
    assert {part: set(values) for part, values in restored.dump().items()} == {
        "": {"hidden", "history", "rate"},
        "inner": {"seen"},
    }

"""Groups of parameters: each parameter is in one, and a step is that of torch's groups made by hand."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from lightning_template.engine.tasks.groups import check_groups, parameter_groups
from lightning_template.tasks import RegressionTask


class Net(nn.Module):
    """Has layers of many kinds, and a weight that two of them share."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {
                "conv": nn.Conv2d(1, 2, 3),
                "batch": nn.BatchNorm2d(2),
                "layer": nn.LayerNorm((2, 3)),
                "group": nn.GroupNorm(1, 2),
                "rms": nn.RMSNorm((2, 3)),
                "lstm": nn.LSTM(2, 3),
                "attention": nn.MultiheadAttention(4, 2),
                "embedding": nn.Embedding(5, 4),
                "frozen": nn.Linear(4, 4).requires_grad_(False),
            }
        )
        self.head = nn.Linear(4, 5)
        embedding: Any = self.body["embedding"]
        self.head.weight = embedding.weight
        self.scale = nn.Parameter(torch.ones(1))


def named(options: Any, net: nn.Module | None = None) -> dict[str, list[str]]:
    """Return the names of the parameters of each group, by the group's name."""
    net = net or Net()
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {group["name"]: [names[id(part)] for part in group["params"]] for group in parameter_groups(net, options)}


def test_biases_and_norms() -> None:
    groups = named({"biases_and_norms": {"weight_decay": 0}})
    assert groups["others"] == [
        "body.conv.weight",
        "body.lstm.weight_ih_l0",
        "body.lstm.weight_hh_l0",
        "body.attention.in_proj_weight",
        "body.attention.out_proj.weight",
        "body.embedding.weight",
    ]
    trained = {name for name, parameter in Net().named_parameters() if parameter.requires_grad}
    assert {*groups["others"], *groups["biases_and_norms"]} == trained
    assert len(groups["others"]) + len(groups["biases_and_norms"]) == len(trained)
    assert "body.layer.weight" in groups["biases_and_norms"]  # of two dimensions


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("body.conv", ["body.conv.weight", "body.conv.bias"]),
        ("body.conv.*", ["body.conv.weight", "body.conv.bias"]),
        ("*.conv.weight", ["body.conv.weight"]),
        ("body.lstm.*_hh_*", ["body.lstm.weight_hh_l0", "body.lstm.bias_hh_l0"]),
        ("head.weight", ["body.embedding.weight"]),  # its other name
        ("scale", ["scale"]),
    ],
)
def test_a_pattern_matches_names_and_modules(pattern: str, expected: list[str]) -> None:
    groups = named({pattern: {"lr": 1}})
    assert groups[pattern] == expected
    names = [name for group in groups.values() for name in group]
    assert len(names) == len(set(names))


def test_all_patterns_that_match_count_the_last_one_most() -> None:
    net = Net()
    options: Any = {"biases_and_norms": {"weight_decay": 0, "lr": 1}, "body.conv": {"lr": 2}}
    groups = {group["name"]: (group.get("lr"), group.get("weight_decay")) for group in parameter_groups(net, options)}
    assert groups == {
        "others": (None, None),
        "body.conv": (2, None),
        "biases_and_norms body.conv": (2, 0),
        "biases_and_norms": (1, 0),
    }


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("body.con", ", did you mean body.conv"),
        ("bode.conv.weight", ", did you mean body.conv.weight"),
        ("body.frozen", ", did you mean "),
        ("?", ": there are scale, body.conv.weight, "),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(pattern: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"`optimizer_groups`: no trained parameter is named ") as caught:
        parameter_groups(Net(), {"head": {"lr": 1}, pattern: {"lr": 1}})
    assert f"named {pattern}{hint}" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lrr": 1}, r"`optimizer_groups.head.lrr` is not an option of SGD: it has lr, momentum, "),
        ({"lr": -1}, r"`optimizer_groups.head.lr` must be a number of at least 0, got -1"),
        ({"lr": float("nan")}, "must be a number of at least 0, got nan"),
        ({"weight_decay": "none"}, "must be a number of at least 0, got none"),
        ({"momentum": True}, "must be a number of at least 0, got True"),
    ],
)
def test_an_option_that_the_optimizer_does_not_have_is_refused(options: dict[str, Any], message: str) -> None:
    optimizer = torch.optim.SGD(Net().parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)
    with pytest.raises(ValueError, match=message):
        check_groups(optimizer, {"head": options})


def test_a_step_is_that_of_groups_made_by_hand() -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    task = RegressionTask(
        network(),
        nn.MSELoss(),
        partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5),
        optimizer_groups={"biases_and_norms": {"weight_decay": 0.0}, "network.0": {"lr": 0.01}},
    )
    by_hand: Any = network()
    groups: list[dict[str, Any]] = [
        {"params": [by_hand[2].weight]},
        {"params": [by_hand[0].weight], "lr": 0.01},
        {"params": [by_hand[0].bias], "lr": 0.01, "weight_decay": 0.0},
        {"params": [by_hand[1].weight, by_hand[1].bias, by_hand[2].bias], "weight_decay": 0.0},
    ]
    expected = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5)
    inputs, targets = torch.randn(8, 3), torch.randn(8, 1)
    optimizer: Any = task.configure_optimizers()
    for net, steps in ((task.network, optimizer), (by_hand, expected)):
        for _ in range(3):
            steps.zero_grad()
            nn.functional.mse_loss(net(inputs), targets).backward()  # type: ignore[no-untyped-call]
            steps.step()
    assert all(map(torch.equal, task.network.parameters(), by_hand.parameters()))


def test_one_peak_keeps_the_proportions_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: Any = {"network.bias": {"lr": 0.02}}
    schedule = partial(OneCycleLR, max_lr=1.0, total_steps=10)
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(torch.optim.SGD, lr=0.1), schedule, "epoch", groups)
    monkeypatch.setattr(RegressionTask, "trainer", type("T", (), {"max_epochs": 10}))
    made: Any = task.configure_optimizers()
    assert [group["max_lr"] for group in made["optimizer"].param_groups] == pytest.approx([1.0, 0.2])

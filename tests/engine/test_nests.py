"""Tensors within whatever holds them."""

import enum
import threading
from collections import OrderedDict, UserDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from lightning_template.engine.nests import is_plain, map_tensors, tensors_of

ONE, TWO = torch.tensor([1.0]), torch.tensor([2.0, 2.0])


class Pair(NamedTuple):
    a: Tensor
    b: Any


@dataclass(frozen=True)
class Frozen:
    a: Tensor
    b: Any = None


@dataclass(slots=True)
class Slim:
    a: Tensor
    b: Any = field(init=False, default=None)


class Plain:
    def __init__(self, a: Any, b: Any = None) -> None:
        self.a, self.b = a, b


class Outputs(OrderedDict[str, Any]):
    """Has its items as attributes too, as the outputs of pretrained models do."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        vars(self)[key] = value


class Locked(Plain):
    """Cannot be copied."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("one of a kind")


class Kind(enum.Enum):
    A = "a"


@pytest.mark.parametrize(
    "nest",
    [
        [ONE, TWO],
        (ONE, "text", TWO, None, 3),
        {"a": ONE, "b": {"c": [TWO]}},
        defaultdict(lambda: TWO, {"a": ONE, "b": TWO}),
        Pair(ONE, TWO),
        Frozen(ONE, {"x": TWO}),
        Plain(ONE, Plain(Frozen(TWO))),
        UserDict({"a": ONE, "b": TWO}),
        Outputs(a=ONE, b=(TWO,)),
        {"a": ONE, "kind": Kind.A, "lock": threading.Lock(), "of": Plain, "network": nn.Linear(1, 1), "b": TWO},
    ],
)
def test_each_tensor_is_replaced_once_and_the_nest_stays(nest: Any) -> None:
    before = tensors_of(nest)
    assert [id(tensor) for tensor in before] == [id(ONE), id(TWO)]
    found = map_tensors(lambda tensor: tensor + 10, nest)
    assert type(found) is type(nest)
    assert [tensor.tolist() for tensor in tensors_of(found)] == [[11], [12, 12]]
    assert [id(tensor) for tensor in tensors_of(nest)] == [id(ONE), id(TWO)]


def test_items_and_attributes_agree() -> None:
    found = map_tensors(lambda tensor: tensor + 10, Outputs(a=ONE))
    assert found["a"] is found.a
    slim = Slim(ONE)
    slim.b = TWO
    found = map_tensors(lambda tensor: tensor + 10, slim)
    assert (found.a.item(), found.b.tolist(), slim.a.item()) == (11, [12, 12], 1)


def test_what_is_shared_stays_shared() -> None:
    whole = Plain(ONE)
    whole.b = whole  # a cycle
    found = map_tensors(lambda tensor: tensor + 10, [whole, ONE])
    assert found[0].b is found[0]
    assert found[0].a is found[1]


def test_what_cannot_be_copied_is_shared() -> None:
    locked = Locked(ONE)
    assert map_tensors(lambda tensor: tensor + 10, {"a": locked})["a"] is locked
    assert Kind.A.value == "a"


def test_a_packed_sequence_stays_one() -> None:
    packed = pack_sequence([TWO, ONE])
    found = map_tensors(Tensor.clone, packed)
    assert type(found) is type(packed)
    torch.testing.assert_close(found.data, packed.data)
    torch.testing.assert_close(found.batch_sizes, packed.batch_sizes)


@pytest.mark.parametrize(
    ("nest", "expected"),
    [
        (ONE, True),
        ({"a": ONE, 1: [TWO, (ONE,)]}, True),
        ({}, True),
        (Pair(ONE, TWO), False),
        (OrderedDict(a=ONE), False),
        ({"a": Frozen(ONE)}, False),
        ({("a", "b"): ONE}, False),
        ([ONE, 3], False),
        ([ONE, None], False),
        (nn.Parameter(ONE), False),
    ],
)
def test_plain_nests_are_those_that_a_checkpoint_holds(nest: Any, expected: bool, tmp_path: Any) -> None:
    assert is_plain(nest) == expected
    if expected:
        torch.save(nest, tmp_path / "x")
        torch.testing.assert_close(torch.load(tmp_path / "x", weights_only=True), nest)

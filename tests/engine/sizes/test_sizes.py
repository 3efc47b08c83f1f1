"""Sizes of data, told by their datamodule or seen in their samples."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from lightning_template.datamodules import InMemoryDataModule, LineDataModule
from lightning_template.engine.rehearsal.samples import same_random_numbers
from lightning_template.engine.sizes import ROLES, DataSizes, SizeValues, look_at, preparing


class Arrays(InMemoryDataModule):
    """Serves tensors."""

    def __init__(self, inputs: Tensor, targets: Tensor, **told: Any) -> None:
        super().__init__()
        vars(self).update(told, stored=(inputs, targets))

    def load(self) -> Any:
        return vars(self)["stored"], None


class Loaders(LightningDataModule):
    """Serves a data set as anybody would."""

    def __init__(self, dataset: Any, **told: Any) -> None:
        super().__init__()
        self.dataset = dataset
        vars(self).update(told)

    def train_dataloader(self) -> Any:
        return self.dataset if isinstance(self.dataset, list) else DataLoader(self.dataset, batch_size=4)


class Pairs(Dataset[Any]):
    """Pairs of an input and a target that are made one by one."""

    def __init__(self, number: int, make: Callable[[int], Any]) -> None:
        self.number, self.make = number, make

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


class Stream(IterableDataset[Any]):
    """A stream of pairs."""

    def __iter__(self) -> Any:
        return iter([(torch.zeros(3), number % 3) for number in range(9)])


def sizes(data: LightningDataModule) -> tuple[Any, ...]:
    known = DataSizes(data)
    return known.get("input_shape"), known.get("num_classes"), known.get("num_targets")


X, LABELS = torch.rand(20, 6), torch.arange(20) % 5
FOLDER = Pairs(9, lambda index: (torch.zeros(3, 4, 4), index % 2))
FOLDER.classes = ["a", "b", "c"]  # type: ignore[attr-defined]
LISTED = Pairs(9, lambda index: (torch.zeros(3), 0))
LISTED.targets = [0, 6, 2]  # type: ignore[attr-defined]
CASES: dict[str, tuple[LightningDataModule, tuple[Any, ...]]] = {
    "classes": (Arrays(X, LABELS), ((6,), 5, None)),
    "numbers": (Arrays(X, X[:, 0]), ((6,), None, 1)),
    "several numbers": (Arrays(X, X[:, :3]), ((6,), None, 3)),
    "integers": (Arrays(X, (X[:, :3] * 9).long()), ((6,), None, None)),
    "several labels": (Arrays(X, X[:, :3].round().long()), ((6,), None, None)),
    "told": (Arrays(X, X[:, :1], num_classes=2, input_shape=[2, 3], num_targets=1), ((2, 3), 2, 1)),
    "told by names": (Arrays(X, LABELS, class_names=("a", "b", "c", "d", "e", "f")), ((6,), 6, None)),
    "a line": (LineDataModule(), ((1,), None, 1)),
    "tensors": (Loaders(TensorDataset(X, LABELS)), ((6,), 5, None)),
    "part of tensors": (Loaders(Subset(Subset(TensorDataset(X, LABELS), range(10)), range(3))), ((6,), 5, None)),
    "a folder": (Loaders(FOLDER), ((3, 4, 4), 3, None)),
    "a list of targets": (Loaders(Subset(LISTED, range(4))), ((3,), 7, None)),
    "one by one": (Loaders(Pairs(9, lambda index: (torch.zeros(3), index // 3))), ((3,), 3, None)),
    "too many": (Loaders(Pairs(10_001, lambda index: (torch.zeros(3), index % 3))), ((3,), None, None)),
    "negative": (Loaders(Pairs(9, lambda index: (torch.zeros(3), -index))), ((3,), None, None)),
    "floats": (Loaders(Pairs(9, lambda index: (torch.zeros(3), float(index)))), ((3,), None, 1)),
    "a stream": (Loaders(Stream()), ((3,), None, None)),
    "inputs of several parts": (
        Loaders(Pairs(9, lambda index: ({"a": torch.zeros(3)}, index % 3))),
        (None, 3, None),
    ),
    "dicts": (Loaders(Pairs(9, lambda index: {"x": torch.zeros(3), "y": index})), (None, None, None)),
    "three parts": (Loaders(Pairs(9, lambda index: (torch.zeros(3), index, index))), (None, None, None)),
    "several loaders": (Loaders([1, 2]), (None, None, None)),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
def test_sizes_of_data(data: LightningDataModule, expected: tuple[Any, ...]) -> None:
    assert sizes(data) == expected


def test_targets_are_read_only_to_count_classes() -> None:
    read: list[int] = []
    data = Loaders(Pairs(90, lambda index: (torch.zeros(3), read.append(index) or index % 3)))  # type: ignore[func-returns-value]
    known = DataSizes(data)
    assert known.get("input_shape") == (3,)
    assert len(read) <= 8
    assert known.get("num_classes") == 3
    assert len(read) >= 90


def test_labels_are_seen() -> None:
    labels = X[:, :3].round()
    assert [DataSizes(Arrays(X, targets)).get("num_labels") for targets in (labels, labels.long(), X[:, :3])] == [
        3,
        3,
        None,
    ]


def test_data_that_tell_a_size_are_not_set_up() -> None:
    data = LineDataModule()
    assert DataSizes(data).get("input_shape") == (1,)
    assert data.train_set is None
    assert DataSizes(data).get("num_classes") is None
    assert data.train_set is not None


@pytest.mark.parametrize(
    ("value", "size"), [(0, None), (True, None), ((), None), ((3, 0), None), ("3", None), (3.0, None)]
)
def test_what_is_no_size(value: Any, size: Any) -> None:
    assert DataSizes(Loaders([], width=value)).get("width") == size


def values(
    shape: tuple[int, ...] = (6,), classes: Any = None, targets: Any = None, labels: Any = None, **options: Any
) -> SizeValues:
    told = {"input_shape": shape, "num_classes": classes, "num_targets": targets, "num_labels": labels}
    return SizeValues(DataSizes(Loaders([], **told, vocab_size=9), is_ready=True), **options)


@pytest.mark.parametrize(
    ("name", "shape", "value"),
    [
        ("in_features", (6,), 6),
        ("in_features", (3, 4, 5), 60),
        ("in_features", (3, 4), 12),
        ("input_size", (6,), 6),
        ("input_size", (3, 4), 4),
        ("input_size", (3, 4, 5), None),
        ("num_features", (6,), 6),
        ("num_features", (3, 4), None),
        ("in_channels", (3, 4, 5), 3),
        ("in_chans", (2, 3, 4, 5), 2),
        ("in_channels", (3, 4), None),
        ("image_size", (3, 4, 4), 4),
        ("img_size", (3, 4, 5), (4, 5)),
        ("image_size", (6,), None),
        ("vocab_size", (6,), 9),
        ("num_tokens", (6,), 9),
    ],
)
def test_values_of_inputs(name: str, shape: tuple[int, ...], value: Any) -> None:
    assert values(shape).of(name) == value


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"classes": 3}, (3, 3)),
        ({"classes": 3, "num_classes": 5}, (5, 5)),
        ({"classes": 2}, (2, 2)),
        ({"classes": 2, "one_value": True}, (2, 1)),
        ({"classes": 3, "one_value": True}, (3, 3)),
        ({"targets": 4}, (None, 4)),
        ({"targets": 4, "labels": 4}, (None, 4)),
        ({"labels": 5}, (None, 5)),
    ],
)
def test_values_of_outputs(options: dict[str, Any], expected: tuple[Any, Any]) -> None:
    assert (values(**options).of("n_classes"), values(**options).of("out_features")) == expected


@pytest.mark.parametrize(
    ("name", "value", "options", "message"),
    [
        ("in_features", 4, {}, "6 inputs"),
        ("in_features", 4, {"shape": (1,)}, "1 input"),
        ("in_features", 6, {}, ""),
        ("in_features", 5, {"shape": (4, 5)}, ""),  # of each step of a sequence
        ("in_features", 4, {"shape": (4, 5)}, "20 inputs"),
        ("in_channels", 3, {"shape": (1, 8, 8)}, "1 channel"),
        ("image_size", 32, {"shape": (1, 8, 8)}, "images of 8 x 8 pixels"),
        ("image_size", [8, 9], {"shape": (1, 8, 8)}, "images of 8 x 8 pixels"),
        ("image_size", [8, 8], {"shape": (1, 8, 8)}, ""),
        ("num_classes", 2, {"classes": 3}, "3 classes"),
        ("num_classes", 4, {"classes": 3}, ""),
        ("out_features", 2, {"classes": 3}, "3 classes"),
        ("out_features", 5, {"classes": 3, "num_classes": 5}, ""),
        ("out_features", 2, {"classes": 2, "one_value": True}, ""),
        ("out_features", 5, {"classes": 2, "one_value": True}, "2 classes"),
        ("out_features", 5, {"targets": 1}, "1 target"),
        ("out_features", 5, {"labels": 3}, "3 labels"),
        ("out_features", 5, {}, ""),
        ("vocab_size", 5, {}, "9 tokens"),
        ("vocab_size", 10, {}, ""),
        ("width", 5, {}, ""),
    ],
)
def test_contradictions(name: str, value: Any, options: dict[str, Any], message: str) -> None:
    assert values(**options).contradiction(ROLES.get(name), value) == message


def test_random_numbers_are_as_before_and_data_that_draw_some_are_made_again() -> None:
    class Random(Arrays):
        def load(self) -> Any:
            inputs, targets = super().load()[0]
            return (inputs + torch.rand(1), targets), None

    for kind, is_kept in ((Arrays, True), (Random, False)):
        torch.manual_seed(3)
        data = look_at(lambda kind=kind: kind(X, LABELS), lambda data: data.setup("fit"))  # type: ignore[misc]
        assert (data is not None) == is_kept
        after = torch.rand(2)
        torch.manual_seed(3)
        assert torch.equal(after, torch.rand(2))
    assert look_at(lambda: Loaders([]), lambda data: None) is None


def test_drawn_numbers_of_any_generator_are_seen() -> None:
    import random

    import numpy as np

    generator = np.random.default_rng(0)
    for draw in (int, torch.rand, random.random, np.random.rand, generator.random):
        with same_random_numbers(torch.device("cpu")) as drawn:
            draw(1) if draw is torch.rand else draw()
        assert drawn.any == (draw is not int)


def test_data_on_a_device_go_there_once_there_is_a_trainer() -> None:
    data = Arrays(X, LABELS)
    data.on_device = True
    data.setup("fit")
    assert data.train_set is not None
    assert data.train_set.targets.device.type == "cpu"
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))  # type: ignore[assignment]
    data.setup("fit")
    assert data.train_set.targets.device.type == "meta"
    assert data.test_set is not None
    assert data.train_set.inputs is data.test_set.inputs


@pytest.mark.parametrize(
    ("environment", "calls"),
    [({}, 1), ({"LOCAL_RANK": "0"}, 1), ({"LOCAL_RANK": "1"}, 0), ({"LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "a"}, 1)],
)
def test_data_are_prepared_once(environment: dict[str, str], calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "TORCHELASTIC_RUN_ID", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    data, called = Loaders([]), []
    data.prepare_data = lambda: called.append(1)  # type: ignore[method-assign]
    preparing.prepare_once(data)
    assert len(called) == calls

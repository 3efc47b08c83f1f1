"""Which samples are tried, what a copy of a data set shares with it, and that random numbers go on as they were."""

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lightning_template.engine.batches import BatchIndex, BatchOrder, InMemoryLoader, TensorBatches
from lightning_template.engine.rehearsal.samples import MAX_SHARED, Sampler, same_random_numbers, shared_parts

CPU = torch.device("cpu")


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class Indexed(TensorBatches):
    """Returns what it is asked for."""

    def __getitem__(self, index: BatchIndex) -> Any:
        return index


def in_memory(targets: Tensor, indices: Tensor | None = None) -> Indexed:
    return Indexed(torch.zeros(len(targets), 2), targets, indices=indices)


TEN = in_memory(torch.arange(10))
NUMBERS: Any = [5 * number for number in range(10)]


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (DataLoader(NUMBERS, batch_size=4), 4),
        (DataLoader(NUMBERS, batch_size=4, shuffle=True), 4),
        (DataLoader(NUMBERS, batch_size=40), 10),
        (DataLoader(NUMBERS, batch_size=None), 1),
        (DataLoader(NUMBERS, batch_sampler=[[1, 2], [3]]), 0),
        (DataLoader(NUMBERS, batch_size=4, sampler=[1, 2, 3]), 0),
        (DataLoader(Stream(), batch_size=4), 0),
        (InMemoryLoader(TEN, BatchOrder(10, 4)), 4),
        (InMemoryLoader(TEN, BatchOrder(10, 40)), 10),
        (DataLoader(TEN, batch_size=None, sampler=BatchOrder(10, 3)), 3),
        (SimpleNamespace(batches=TEN, batch_size=4), 0),
        ([], 0),
    ],
)
def test_the_size_of_a_batch_is_that_of_the_loader_where_it_is_known(loader: Any, expected: int) -> None:
    assert Sampler(loader).batch_size == expected


def test_samples_come_from_all_over_the_data_set() -> None:
    loader = DataLoader(NUMBERS, batch_size=4)
    assert Sampler(loader).batch(4).tolist() == [0, 15, 30, 45]
    loader = DataLoader(NUMBERS, batch_size=4, collate_fn=tuple)
    assert Sampler(loader).batch(2) == (0, 45)


def test_a_data_set_may_hold_batches() -> None:
    batches: Any = [{"x": torch.ones(4)}, {"x": torch.zeros(3)}]
    whole: Any = DataLoader(batches, batch_size=None)
    assert Sampler(whole).batch(1)["x"].tolist() == [1] * 4
    assert Sampler(whole).few()["x"].tolist() == [1] * 4


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (DataLoader(NUMBERS, batch_size=4), [0, 45]),
        (DataLoader(NUMBERS, batch_size=1), [0]),
        (DataLoader(NUMBERS, batch_sampler=[[1, 2, 3], [4]]), [0, 45]),
        (DataLoader(NUMBERS, batch_size=4, sampler=[1, 2, 3]), [0, 45]),
        (DataLoader([7], batch_sampler=[[0]]), [7]),  # type: ignore[arg-type]
        (DataLoader(Stream(), batch_size=4), None),
        ([torch.zeros(3)], None),
    ],
)
def test_a_few_samples_are_known_where_the_size_of_a_batch_is_not(loader: Any, expected: list[int] | None) -> None:
    found = Sampler(loader).few()
    assert (found if found is None else found.tolist()) == expected


def test_a_data_set_that_gets_batches_is_asked_for_one() -> None:
    class Whole(Dataset[int]):
        def __len__(self) -> int:
            return 10

        def __getitems__(self, indices: list[int]) -> list[int]:
            assert isinstance(indices, list)
            return [-index for index in indices]

    assert Sampler(DataLoader(Whole(), batch_size=4)).batch(4).tolist() == [0, -3, -6, -9]


CLASSES = torch.tensor([2, 2, 9, 2, 2, 2, 0, 2, 2, 2])


@pytest.mark.parametrize(
    ("data", "size", "expected"),
    [
        (in_memory(CLASSES), 4, [0, 6, 6, 2]),  # evenly [0, 3, 6, 9], but for the lowest and the highest class
        (in_memory(CLASSES), 3, [0, 6, 2]),
        (in_memory(CLASSES), 2, [0, 9]),
        (in_memory(CLASSES, torch.tensor([1, 6, 3, 2])), 4, [0, 1, 2, 3]),
        (in_memory(CLASSES, torch.tensor([6, 1, 3, 2, 2, 2, 2])), 4, [0, 0, 4, 3]),
        (in_memory(CLASSES.float()), 4, [0, 3, 6, 9]),
        (in_memory(CLASSES.view(10, 1)), 4, [0, 3, 6, 9]),
    ],
)
def test_the_lowest_and_the_highest_class_are_among_them(data: Indexed, size: int, expected: list[int]) -> None:
    index = Sampler(InMemoryLoader(data, BatchOrder(len(data), 4))).batch(size)
    assert index.positions.tolist() == expected
    assert index.seeds == (0, 0, 0, 0)


def test_a_copy_shares_what_is_large() -> None:
    short, long = [torch.zeros(1)], list(range(MAX_SHARED + 1))
    array, in_dict, in_object, in_tuple = np.zeros(1), torch.zeros(2), torch.zeros(3), torch.zeros(4)
    held = SimpleNamespace(tensor=in_object)
    held.itself = held
    value = {"a": short, "b": (array, {"c": in_dict}, [held]), "d": {in_tuple}, "e": Dataset, 3: "text"}
    limit = list(range(MAX_SHARED))
    large = {number: number for number in range(MAX_SHARED + 1)}
    found = shared_parts([value, limit, long, large])
    expected = [short[0], array, in_dict, in_object, in_tuple, long, large]
    assert found.keys() == {id(item) for item in expected}
    assert all(found[id(item)] is item for item in expected)
    assert shared_parts(5) == {}


@pytest.mark.parametrize("fails", [False, True])
def test_all_random_numbers_go_on_as_they_were(fails: bool) -> None:
    plain, secret = random.Random(1), random.SystemRandom()
    generators: list[Any] = [np.random.default_rng(2), np.random.Generator(np.random.MT19937(3))]

    def draw() -> list[float]:
        numbers = [plain.random(), random.random(), np.random.rand(), torch.rand(()).item()]
        return numbers + [generator.random() for generator in generators]

    states = plain.getstate(), random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_generators = [generator.bit_generator.state for generator in generators]
    expected = draw()
    plain.setstate(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])
    torch.set_rng_state(states[3])
    for generator, state in zip(generators, of_generators, strict=True):
        generator.bit_generator.state = state
    try:
        with same_random_numbers(CPU):
            for _ in range(700):  # more than one state of a Mersenne twister
                draw()
            secret.random()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert draw() == expected

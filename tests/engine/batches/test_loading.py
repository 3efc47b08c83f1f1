"""Split, order and batches, checked against counting and torch's own loader."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_template.engine.batches import (
    BatchOrder,
    InMemoryLoader,
    TensorBatches,
    mix_seeds,
    split,
    split_indices,
)
from lightning_template.transforms import Augmentation

SIZES = list(itertools.product([1, 2, 5, 12, 13, 31], [1, 2, 3, 8, 40], [1, 2, 3, 4]))
"""Numbers of samples, batch sizes and numbers of ranks, whole multiples and not."""


def batches_of(order: BatchOrder, epoch: int = 0) -> list[list[int]]:
    order.set_epoch(epoch)
    return [index.positions.tolist() for index in order]


def flat(batches: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


def ranks_of(num_samples: int, batch_size: int, world: int, *, training: bool) -> Iterator[list[list[int]]]:
    for rank in range(world):
        order = BatchOrder(
            num_samples, batch_size, shuffle=True, seed=3, training=training, num_replicas=world, rank=rank
        )
        batches = batches_of(order, epoch=2)
        assert len(order) == len(batches)
        assert all(batches)
        yield batches


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_process_sees_every_sample_once(shuffle: bool) -> None:
    for num_samples, batch_size, _ in SIZES:
        batches = batches_of(BatchOrder(num_samples, batch_size, shuffle=shuffle, training=True))
        assert sorted(flat(batches)) == list(range(num_samples))
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}
        assert len(batches) == -(-num_samples // batch_size)


def test_ranks_in_evaluation_see_every_sample_once() -> None:
    for num_samples, batch_size, world in SIZES:
        ranks = list(ranks_of(num_samples, batch_size, world, training=False))
        assert sorted(flat([flat(batches) for batches in ranks])) == list(range(num_samples))


def test_ranks_in_training_get_equally_many_samples() -> None:
    for num_samples, batch_size, world in SIZES:
        ranks = list(ranks_of(num_samples, batch_size, world, training=True))
        sizes = {tuple(len(batch) for batch in batches) for batches in ranks}
        assert len(sizes) == 1  # batch by batch, else a rank waits for another's gradients for ever
        seen = flat([flat(batches) for batches in ranks])
        assert len(set(seen)) == len(seen) == num_samples - num_samples % world


@pytest.mark.parametrize("training", [False, True])
def test_ranks_share_the_batch_of_one_process(training: bool) -> None:
    for num_samples, batch_size, world in SIZES:
        ranks = list(ranks_of(num_samples, batch_size, world, training=training))
        (alone,) = ranks_of(num_samples, batch_size * world, 1, training=training)
        together = [flat(list(parts)) for parts in itertools.zip_longest(*ranks, fillvalue=[])]
        num_left_out = num_samples % world if training else 0
        assert flat(together) == flat(alone)[: num_samples - num_left_out]
        assert together[:-1] == alone[: len(together[:-1])]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order_of(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(flat(batches_of(BatchOrder(100, 7, shuffle=True, seed=seed), epoch)))

    pairs = list(itertools.product([0, 1, 2, 2**31, 2**40], range(10)))
    first = {pair: order_of(*pair) for pair in pairs}
    torch.rand(5)  # neither the state of torch's generator nor what was asked before plays a part
    assert {pair: order_of(*pair) for pair in reversed(pairs)} == first
    assert len(set(first.values())) == len(pairs)
    assert first[0, 1] != first[1, 0]
    used_before = BatchOrder(100, 7, shuffle=True, seed=1)
    for epoch in (5, 0, 5):
        assert tuple(flat(batches_of(used_before, epoch))) == first[1, epoch]


def test_the_order_leaves_torchs_generator_alone() -> None:
    expected = torch.rand(3)
    torch.manual_seed(0)
    batches_of(BatchOrder(100, 7, shuffle=True))
    split_indices(100, 0.1, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_every_place_is_as_likely_for_every_sample() -> None:
    orders = [flat(batches_of(BatchOrder(4, 4, shuffle=True, seed=seed), seed % 7)) for seed in range(2400)]
    for place, sample in itertools.product(range(4), range(4)):
        count = sum(order[place] == sample for order in orders)
        assert abs(count - 600) < 5 * (600 * 0.75) ** 0.5  # five standard deviations


def test_without_shuffling_epochs_are_alike() -> None:
    order = BatchOrder(5, 2)
    assert batches_of(order, 0) == batches_of(order, 9) == [[0, 1], [2, 3], [4]]


def test_the_epoch_is_set_where_lightning_sets_it() -> None:
    data = TensorBatches(torch.arange(20), torch.arange(20))
    loader = InMemoryLoader(data, BatchOrder(20, 6, shuffle=True, seed=4))
    seen = []
    for epoch in range(2):
        loader.batch_sampler.sampler.set_epoch(epoch)
        seen.append([inputs.tolist() for inputs, _ in loader])
    assert seen == [batches_of(BatchOrder(20, 6, shuffle=True, seed=4), epoch) for epoch in range(2)]
    assert seen[0] != seen[1]


@pytest.mark.parametrize(("num_samples", "fraction", "num_second"), [(60000, 0.1, 6000), (7, 0.5, 4), (10, 0.0, 0)])
def test_a_split_is_complete_and_disjoint(num_samples: int, fraction: float, num_second: int) -> None:
    first, second = split_indices(num_samples, fraction, seed=0)
    assert len(second) == num_second
    assert torch.equal(torch.cat([first, second]).sort().values, torch.arange(num_samples))
    for part in (first, second):
        assert torch.equal(part, part.sort().values)


def test_a_split_is_a_function_of_the_seed() -> None:
    splits = [split_indices(100, 0.2, seed)[1].tolist() for seed in range(5)]
    torch.rand(5)
    assert splits == [split_indices(100, 0.2, seed)[1].tolist() for seed in range(5)]
    assert len({tuple(split) for split in splits}) == 5


@pytest.mark.parametrize(("num_samples", "fraction"), [(10, 0.01), (10, 0.99), (1, 0.5), (0, 0.0)])
def test_a_split_that_leaves_nothing_is_refused(num_samples: int, fraction: float) -> None:
    with pytest.raises(ValueError, match=f"a fraction of {fraction} of {num_samples} samples leaves a part empty"):
        split_indices(num_samples, fraction, seed=0)


def test_parts_that_share_samples_share_them_on_a_device() -> None:
    samples = torch.arange(10.0), torch.arange(10)
    parts = split(samples, None, test_fraction=0.2, val_fraction=0.25, val_on_test=False, seed=0).to(
        torch.device("meta")
    )
    assert [len(part.indices) for part in parts] == [6, 2, 2]
    for part in parts:
        assert part.inputs is parts.train.inputs
        assert part.targets is parts.train.targets
        assert part.targets.device.type == "meta"


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
def test_batches_are_those_of_torch(batch_size: int) -> None:
    images = torch.randint(256, (13, 3, 2), dtype=torch.uint8)
    labels = torch.randint(10, (13,))
    loader = InMemoryLoader(TensorBatches(images, labels), BatchOrder(13, batch_size))
    expected = DataLoader(TensorDataset(images, labels), batch_size)
    assert len(loader) == len(expected)
    for (inputs, targets), (wanted_inputs, wanted_targets) in zip(loader, expected, strict=True):
        assert (inputs.dtype, targets.dtype) == (torch.uint8, torch.int64)
        assert torch.equal(inputs, wanted_inputs)
        assert torch.equal(targets, wanted_targets)


@pytest.mark.parametrize(("bytes_at_once", "together"), [(2**20, [3]), (4, [2, 1]), (3, [2, 1]), (0, [2, 1])])
def test_several_batches_are_transformed_together(
    bytes_at_once: int, together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_template.engine.batches.loaders.BYTES_AT_ONCE", bytes_at_once)
    given: list[Tensor] = []

    def halve(inputs: Tensor) -> Tensor:
        given.append(inputs)
        return inputs / 2

    images = torch.arange(12, dtype=torch.uint8).view(6, 2)
    data = TensorBatches(images, torch.arange(6), torch.tensor([5, 3, 1]), halve)
    assert len(data) == 3
    batches = list(InMemoryLoader(data, BatchOrder(3, 2)))
    assert [inputs.tolist() for inputs, _ in batches] == [[[5, 5.5], [3, 3.5]], [[1, 1.5]]]
    assert [targets.tolist() for _, targets in batches] == [[5, 3], [1]]
    assert [(inputs.dtype, len(inputs)) for inputs in given] == [(torch.uint8, size) for size in together]
    assert torch.equal(images, torch.arange(12, dtype=torch.uint8).view(6, 2))


class AddNoise(Augmentation):
    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return images + torch.rand(images.shape, generator=generator)


def augmented(seed: int = 0, epoch: int = 0, rank: int = 0, repeats: int = 1) -> list[torch.Tensor]:
    data = TensorBatches(
        torch.zeros(12), torch.zeros(12), transform=lambda inputs: 2 * inputs, augmentations=[AddNoise()] * repeats
    )
    order = BatchOrder(12, 3, seed=seed, num_replicas=2, rank=rank)
    order.set_epoch(epoch)
    return [inputs for inputs, _ in InMemoryLoader(data, order)]


def test_augmentation_is_a_function_of_seed_epoch_rank_and_batch() -> None:
    first = augmented()
    torch.rand(1)
    assert all(map(torch.equal, augmented(), first))
    others = [first, augmented(seed=1), augmented(epoch=1), augmented(rank=1)]
    assert len({batch[0].item() for batches in others for batch in batches}) == 8


def test_augmentations_come_one_after_the_other_before_the_transform() -> None:
    once, twice = augmented()[0], augmented(repeats=2)[0]
    generator = torch.Generator().manual_seed(mix_seeds(0, 0, 0, 0))
    noise = [torch.rand(3, generator=generator) for _ in range(2)]
    assert torch.equal(once, 2 * noise[0])
    assert torch.equal(twice, 2 * (noise[0] + noise[1]))


def test_a_batch_comes_from_the_device_of_the_data() -> None:
    data = TensorBatches(torch.zeros(12, 2, device="meta"), torch.zeros(12, device="meta"))
    inputs, targets = next(iter(InMemoryLoader(data, BatchOrder(12, 5))))
    assert (inputs.device.type, inputs.shape) == ("meta", (5, 2))
    assert (targets.device.type, targets.shape) == ("meta", (5,))

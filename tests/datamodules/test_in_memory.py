"""What datamodules share, on numbers that name their own place."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader

from lightning_template.datamodules import InMemoryDataModule
from lightning_template.engine.batches import BatchOrder, InMemoryLoader
from lightning_template.tasks import RegressionTask
from lightning_template.transforms import Augmentation

Batches = list[list[float]]


class Numbers(InMemoryDataModule):
    """Inputs 0 to 49 for training and 100 to 119 for test; targets are their negatives."""

    num_loads = 0

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        self.num_loads += 1
        train, test = torch.arange(50.0).unsqueeze(1), torch.arange(100.0, 120.0).unsqueeze(1)
        return (train, -train), (test, -test)


def make_numbers(**options: Any) -> Numbers:
    data = Numbers(**{"batch_size": 8, "eval_batch_size": 7} | options)
    data.setup("fit")
    return data


def inputs_of(loader: Any) -> Batches:
    seen = []
    for inputs, targets in loader:
        assert torch.equal(targets, -inputs)
        seen.append(inputs.flatten().tolist())
    return seen


def in_order(numbers: list[float], size: int) -> Batches:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


TRAIN, TEST = [float(i) for i in range(50)], [float(i) for i in range(100, 120)]

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size": ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
    "eval_batch_size": ({"eval_batch_size": -1}, "`eval_batch_size` must be at least 1, got -1"),
    "below": ({"val_fraction": -0.1}, r"`val_fraction` must lie in \[0, 1\), got -0.1"),
    "test_fraction": ({"test_fraction": 1.5}, r"`test_fraction` must lie in \[0, 1\), got 1.5"),
    "one": ({"val_fraction": 1.0}, r"`val_fraction` must lie in \[0, 1\), got 1.0"),
    "nan": ({"val_fraction": float("nan")}, r"`val_fraction` must lie in \[0, 1\), got nan"),
    "val_on_test": ({"val_on_test": True}, "`val_on_test` needs `val_fraction` 0, got 0.1"),
    "num_workers": ({"num_workers": -1}, "`num_workers` must be at least 0, got -1"),
    "on_device": ({"on_device": True, "num_workers": 2}, "`on_device` needs `num_workers` 0, .*, got 2"),
    "seed": ({"seed": -2}, "`seed` must be at least 0, got -2"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Numbers(**options)


def test_the_defaults_are_those_of_the_documentation() -> None:
    expected: dict[str, Any] = {"batch_size": 64, "eval_batch_size": 1000, "val_fraction": 0.1, "test_fraction": None}
    expected |= {
        "shuffle": True,
        "val_on_test": False,
        "augmentations": (),
        "num_workers": 0,
        "on_device": False,
        "seed": 0,
    }
    assert expected.items() <= vars(Numbers()).items()


def test_a_datamodule_must_say_what_it_loads() -> None:
    with pytest.raises(NotImplementedError, match="InMemoryDataModule must define `load`"):
        InMemoryDataModule().setup("fit")


def test_training_and_validation_share_the_samples() -> None:
    data = make_numbers(val_fraction=0.2)
    train = [number for batch in inputs_of(data.train_dataloader()) for number in batch]
    val = [number for batch in inputs_of(data.val_dataloader()) for number in batch]
    assert (len(train), len(val)) == (40, 10)
    assert sorted(train + val) == TRAIN
    assert val == sorted(val)
    assert train != sorted(train)


def test_test_and_prediction_come_in_order() -> None:
    data = make_numbers()
    for loader in (data.test_dataloader(), data.predict_dataloader()):
        assert inputs_of(loader) == in_order(TEST, 7)


def test_no_validation_set() -> None:
    data = make_numbers(val_fraction=0.0, shuffle=False)
    assert data.val_dataloader() == []
    assert inputs_of(data.train_dataloader()) == in_order(TRAIN, 8)


def test_the_test_set_for_validation() -> None:
    data = make_numbers(val_fraction=0.0, val_on_test=True)
    assert inputs_of(data.val_dataloader()) == in_order(TEST, 7)


class OneSet(Numbers):
    """Inputs 0 to 49, which have to do for all parts."""

    def load(self) -> Any:
        return super().load()[0], None


class ThreeSets(Numbers):
    """Has a validation set of its own, 200 to 206."""

    def load(self) -> Any:
        val = torch.arange(200.0, 207.0).unsqueeze(1)
        return *super().load(), (val, -val)


def flat(loader: Any) -> list[float]:
    return [number for batch in inputs_of(loader) for number in batch]


def test_a_fraction_for_the_test() -> None:
    parts = []
    for seed in (0, 0, 1):
        data = OneSet(test_fraction=0.2, val_fraction=0.25, seed=seed)
        data.setup("fit")
        train, val, test = map(flat, (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()))
        assert (len(train), len(val), len(test)) == (30, 10, 10)
        assert sorted(train + val + test) == TRAIN
        parts.append((val, test))
    assert parts[0] == parts[1]
    assert parts[0][1] != parts[2][1]
    data = OneSet(test_fraction=0.2, val_fraction=0.0, val_on_test=True)
    data.setup("fit")
    assert flat(data.val_dataloader()) == flat(data.test_dataloader()) == parts[0][1]


def test_no_test_set() -> None:
    data = OneSet(test_fraction=0.0)
    data.setup("fit")
    for loader in (data.test_dataloader, data.predict_dataloader):
        with pytest.raises(ValueError, match=r"there is no test set: give a `test_fraction` above 0, got 0\.0"):
            loader()


def test_a_fraction_of_data_that_have_a_test_set() -> None:
    with pytest.raises(ValueError, match=r"leave out `test_fraction`, got 0\.2"):
        make_numbers(test_fraction=0.2)


def test_a_validation_set_of_its_own() -> None:
    data = ThreeSets()
    data.setup("fit")
    assert flat(data.val_dataloader()) == [float(i) for i in range(200, 207)]
    assert sorted(flat(data.train_dataloader())) == TRAIN
    assert flat(data.test_dataloader()) == TEST


class Centred(Numbers):
    def adapt(self, inputs: Any, indices: Tensor) -> None:
        self.mean = inputs[indices].mean()

    def transform(self, inputs: Tensor) -> Tensor:
        return torch.sub(inputs, self.mean)


def test_what_is_learned_is_learned_from_the_training_part_alone() -> None:
    data = Centred(val_fraction=0.4, shuffle=False)
    data.setup("fit")
    assert data.train_set is not None
    mean = data.train_set.indices.float().mean()
    assert mean != torch.tensor(TRAIN).mean()
    for loader, first in ((data.train_dataloader(), data.train_set.indices[0]), (data.test_dataloader(), 100)):
        assert next(iter(loader))[0][0] == first - mean


def test_the_data_are_loaded_once() -> None:
    data = make_numbers()
    before = (data.train_set, data.val_set, data.test_set)
    for stage in ("validate", "test", "fit"):
        data.setup(stage)
    assert data.num_loads == 1
    assert all(now is then for now, then in zip((data.train_set, data.val_set, data.test_set), before, strict=True))


@pytest.mark.parametrize("name", ["train", "val", "test", "predict"])
def test_loaders_need_setup(name: str) -> None:
    with pytest.raises(ValueError, match="the data are not loaded yet: call `setup` first"):
        getattr(Numbers(), f"{name}_dataloader")()


# Python 3.12 and later warn of every fork beside threads, and torch has threads; 3.14 forks no more.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_workers_bring_the_same_batches() -> None:
    alone, helped = make_numbers().train_dataloader(), make_numbers(num_workers=2).train_dataloader()
    assert isinstance(alone, InMemoryLoader)
    assert isinstance(helped, DataLoader)
    assert isinstance(helped.sampler, BatchOrder)
    seen = []
    for epoch in range(2):
        alone.batch_sampler.sampler.set_epoch(epoch)
        helped.sampler.set_epoch(epoch)
        seen.append(inputs_of(alone))
        assert inputs_of(helped) == seen[-1]
    assert seen[0] != seen[1]


class Seen(Callback):
    """Keeps the inputs of every training batch, epoch by epoch."""

    def __init__(self) -> None:
        self.epochs: list[Batches] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append([])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.epochs[-1].append(batch[0].flatten().tolist())


def fit(data: Numbers, **options: Any) -> list[Batches]:
    seen = Seen()
    silent: dict[str, Any] = dict.fromkeys(
        ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
    )
    trainer = Trainer(accelerator="cpu", max_epochs=3, callbacks=[seen], **silent, **options)
    trainer.fit(RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=1e-6)), data)
    return seen.epochs


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_lightning_gives_each_epoch_its_own_order(num_workers: int) -> None:
    epochs = fit(make_numbers(seed=5, num_workers=num_workers))
    data = make_numbers(seed=5)
    assert data.train_set is not None
    order = BatchOrder(45, 8, shuffle=True, seed=5)
    for epoch, batches in enumerate(epochs):
        order.set_epoch(epoch)
        assert batches == [data.train_set.indices[index.positions].tolist() for index in order]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_overfitting_is_not_shuffled(num_workers: int) -> None:
    data = make_numbers(val_fraction=0.0, val_on_test=True, num_workers=num_workers)
    assert fit(data, overfit_batches=2) == [in_order(TRAIN[:16], 8)] * 3


class Shift(Augmentation):
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images + torch.randint(1, 1000, images.shape, generator=generator)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_training_inputs_alone_are_augmented() -> None:
    plain, augmented = make_numbers(), make_numbers(augmentations=[Shift()])
    helped = make_numbers(augmentations=[Shift()], num_workers=2)
    batches, changed, by_workers = ([x for x, _ in data.train_dataloader()] for data in (plain, augmented, helped))
    assert all((after > before).all() for before, after in zip(batches, changed, strict=True))
    assert all(map(torch.equal, changed, by_workers))
    for name in ("val", "test", "predict"):
        assert inputs_of(getattr(augmented, f"{name}_dataloader")()) == inputs_of(
            getattr(plain, f"{name}_dataloader")()
        )


@pytest.mark.parametrize(("on_device", "device"), [(True, "meta"), (False, "cpu")])
def test_data_stay_on_the_device_if_asked_to(on_device: bool, device: str) -> None:
    data = Numbers(on_device=on_device)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=SimpleNamespace(root_device=torch.device("meta")), world_size=1, global_rank=0
    )
    data.setup("fit")
    loaders: list[Any] = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    for loader in loaders:
        assert {part.device.type for batch in loader for part in batch} == {device}


@pytest.mark.parametrize("stage", ["val", "test"])
def test_each_rank_gets_its_part(stage: str) -> None:
    found = []
    for world_size, rank in ((1, 0), (2, 0), (2, 1)):
        data = make_numbers()
        data.setup("test")
        data.trainer = SimpleNamespace(world_size=world_size, global_rank=rank)  # type: ignore[assignment]
        found.append([number for batch in inputs_of(getattr(data, f"{stage}_dataloader")()) for number in batch])
    alone, first, second = found
    assert sorted(first + second) == sorted(alone)
    assert first
    assert second

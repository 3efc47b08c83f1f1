"""Mistakes in data, by families: padding, scale, orientation, labels, columns, random numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mutants import Classifier, Mutant, Points
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

# Sequences


class Ragged(Points):
    """Sequences of two to seven steps, padded with zeros to the longest of their batch."""

    class Set(Dataset[Any]):
        def __len__(self) -> int:
            return 96

        def __getitem__(self, index: int) -> Any:
            generator = torch.Generator().manual_seed(index)
            return torch.randn(2 + index % 6, 4, generator=generator), torch.tensor(index % 3)

    def samples(self) -> Dataset[Any]:
        return self.Set()

    @staticmethod
    def collate(samples: Any) -> Any:
        sequences, targets = zip(*samples, strict=True)
        return nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), torch.stack(targets)

    def train_dataloader(self) -> Any:
        return DataLoader(self.train_set, self.batch_size, shuffle=True, collate_fn=self.collate)

    def val_dataloader(self) -> Any:
        return DataLoader(self.val_set, self.batch_size, collate_fn=self.collate)

    predict_dataloader = val_dataloader


class MeanOverPadding(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.mean(dim=1))


class LastStep(Classifier):
    """The last step of a short sequence is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(4, 4, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.recurrent(inputs)[0][:, -1])


class Padded(Points):
    """Sequences of word numbers, padded with zeros to eight."""

    def samples(self) -> Dataset[Any]:
        generator = torch.Generator().manual_seed(0)
        words = torch.randint(1, 9, (96, 8), generator=generator)
        lengths = torch.randint(2, 9, (96,), generator=generator)
        words[torch.arange(8) >= lengths[:, None]] = 0
        return TensorDataset(words, words[:, 0] % 3)


class AttendsToPadding(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)

    def forward(self, words: Tensor) -> Tensor:
        return super().forward(self.encoder(self.embed(words))[:, 0])


# Random numbers


class Noisy(Dataset[Any]):
    """Adds noise to inputs each time."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def noise(self) -> Tensor:
        return torch.randn(4)

    def __getitem__(self, index: int) -> Any:
        inputs, target = self.samples[index]
        return inputs + 0.1 * self.noise(), target


class AugmentedValidation(Points):
    """Training and validation are parts of one dataset, with its transform."""

    def samples(self) -> Dataset[Any]:
        return Noisy(super().samples())


class OwnGenerator(Noisy):
    def __init__(self, samples: Any) -> None:
        super().__init__(samples)
        self.generator = np.random.default_rng(0)

    def noise(self) -> Tensor:
        return torch.from_numpy(self.generator.normal(size=4)).float()


class WorkersThatRepeat(Points):
    def train_dataloader(self) -> Any:
        return DataLoader(OwnGenerator(self.train_set), self.batch_size, shuffle=True, num_workers=2)


class SeedsEachSample(Noisy):
    def noise(self) -> Tensor:
        torch.manual_seed(0)
        return super().noise()


class SeedsInTheData(Points):
    def train_dataloader(self) -> Any:
        return DataLoader(SeedsEachSample(self.train_set), self.batch_size, shuffle=True)


class Stream(IterableDataset[Any]):
    """Goes through all samples in each worker."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self.samples)):
            yield self.samples[index]


class WorkersWithoutShares(Points):
    def train_dataloader(self) -> Any:
        return DataLoader(Stream(self.train_set), self.batch_size, num_workers=2)


# Scale and orientation


class Changed(Points):
    """Training and validation inputs and targets are changed by functions."""

    def train(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets

    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets

    def tensors(self) -> tuple[Tensor, Tensor]:
        return self.samples().tensors  # type: ignore[attr-defined,no-any-return]

    def setup(self, stage: str) -> None:
        inputs, targets = self.tensors()
        self.train_set = TensorDataset(*self.train(inputs[:52], targets[:52]))  # type: ignore[assignment]
        self.val_set = TensorDataset(*self.val(inputs[52:75], targets[52:75]))  # type: ignore[assignment]
        self.predict_set = TensorDataset(inputs[75:], targets[75:])  # type: ignore[assignment]


class ValidationNotScaled(Changed):
    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return 50 * inputs + 128, targets


def standard(values: Tensor) -> Tensor:
    return (values - values.mean(0)) / values.std(0)


class ValidationScaledByItself(Changed):
    def train(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return standard(inputs), targets

    val = train


class ScaledByAll(Changed):
    def tensors(self) -> tuple[Tensor, Tensor]:
        inputs, targets = super().tensors()
        return standard(inputs[:75]), targets[:75]


class Pictures(Changed):
    """Images of a bright corner and a bright edge."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        targets = torch.randint(3, (96,), generator=generator)
        images = 0.2 * torch.rand(96, 1, 6, 6, generator=generator)
        images[:, :, :2, :] += 0.4
        images[torch.arange(96), 0, 3 + targets, 1] += 0.4
        return images, targets


class Transposed(Pictures):
    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.mT, targets


class UpsideDown(Pictures):
    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.flip(2), targets


class BytesScaledTwice(Pictures):
    def tensors(self) -> tuple[Tensor, Tensor]:
        images, targets = super().tensors()
        return (images * 255).round().clamp(max=255) / 255 / 255, targets


class OfPictures(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.flatten(inputs))


# Labels and columns


class Apart(Changed):
    """Three clouds that do not touch."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        targets = torch.randint(3, (96,), generator=generator)
        return torch.randn(96, 4, generator=generator) + 6 * F.one_hot(targets, 4), targets


class OtherNumbers(Apart):
    """Validation numbers its classes in another order."""

    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, (targets + 1) % 3


class ShiftedLabels(Apart):
    def train(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets.roll(1)


class LabelInAColumn(Changed):
    def tensors(self) -> tuple[Tensor, Tensor]:
        inputs, targets = super().tensors()
        inputs[:, 2] = targets.float()
        return inputs, targets


class IndexOfSorted(Changed):
    """The first column counts the rows of a table that is sorted by class."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        inputs, targets = super().tensors()
        order = targets.argsort()
        inputs[order, 0] = torch.arange(96.0)
        return inputs, targets


class SameInputs(Changed):
    def train(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs[:1].expand_as(inputs), targets


class MissingValues(Changed):
    def tensors(self) -> tuple[Tensor, Tensor]:
        inputs, targets = super().tensors()
        inputs[::5, 1] = torch.nan
        return inputs, targets


class Repeated(Points):
    """Samples are repeated before the split."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        samples = self.samples()
        order = torch.arange(48).repeat(2)[torch.randperm(96, generator=torch.Generator().manual_seed(0))].tolist()
        self.train_set = Subset(samples, order[:52])
        self.val_set = Subset(samples, order[52:75])


class SortedInBlocks(Points):
    """Folders of classes, one after the other, in no order of numbers."""

    def train_dataloader(self) -> Any:
        targets = [int(self.train_set[index][1]) for index in range(len(self.train_set))]
        order = sorted(range(len(targets)), key=lambda index: (targets[index] + 1) % 3)
        return DataLoader(Subset(self.train_set, order), self.batch_size)


ALIKE = "sets_are_alike"
MUTANTS_OF_DATA = {
    "mean over padding": Mutant("padding_changes_nothing", "a sample of 2 beside one of 7", MeanOverPadding, Ragged),
    "last step": Mutant("padding_changes_nothing", "padding changes the outputs", LastStep, Ragged),
    "attends to padding": Mutant("padding_changes_nothing", "beside one of 8", AttendsToPadding, Padded),
    "augmented validation": Mutant("evaluation_data_stay", "sample 0 of val", data=AugmentedValidation),
    "workers that repeat": Mutant("workers_draw_their_own", "`generator`", data=WorkersThatRepeat),
    "workers without shares": Mutant("workers_draw_their_own", "2 times", data=WorkersWithoutShares),
    "seed in the data": Mutant("steps_leave_the_seed", "after a batch is read", data=SeedsInTheData),
    "validation not scaled": Mutant(ALIKE, "standard deviation", data=ValidationNotScaled),
    "validation scaled by itself": Mutant(ALIKE, "its own statistics", data=ValidationScaledByItself),
    "scaled by all": Mutant(ALIKE, "together have mean 0", data=ScaledByAll, outcome="advice"),
    "transposed": Mutant(ALIKE, "transposed", OfPictures, Transposed),
    "upside down": Mutant(ALIKE, "upside down", OfPictures, UpsideDown),
    "bytes scaled twice": Mutant("inputs_are_scaled_once", "divided by 255 twice", OfPictures, BytesScaledTwice),
    "other numbers of classes": Mutant("labels_mean_the_same", "look like class", data=OtherNumbers),
    "shifted labels": Mutant("labels_mean_the_same", "shifted against each other", data=ShiftedLabels),
    "label in a column": Mutant(
        "inputs_do_not_hold_targets", "column 2 of the inputs is the target", data=LabelInAColumn
    ),
    "index of sorted data": Mutant("inputs_do_not_hold_targets", "column 0 of the inputs counts", data=IndexOfSorted),
    "same inputs": Mutant("inputs_differ", "the same inputs", data=SameInputs),
    "missing values": Mutant("loss_is_finite", "nan at [", data=MissingValues),
    "repeated": Mutant("sets_are_disjoint", "val samples are in the training set", data=Repeated),
    "sorted in blocks": Mutant("training_is_shuffled", "sorted by their 3 classes", data=SortedInBlocks),
}

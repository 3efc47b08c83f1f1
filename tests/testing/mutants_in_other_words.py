"""Mistakes again, in other shapes: batches with names, steps without `forward`, several labels, numbers, sequences."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from mutants import Classifier, Mutant
from mutants_of_data import Changed
from sound import SIZES, DictClassifier, Labels, Loaders, MacroAccuracy, MultiLabel, Rows, Tags, clouds
from sound_variants import Attention, LanguageModel, Numbers, PaddedWords, Texts
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler
from torchmetrics import Accuracy


class OneMetricForBoth(MacroAccuracy):
    """Training and validation count with one metric object."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        logits = self(batch[0])
        self.val_acc.update(logits, batch[1])
        return F.cross_entropy(logits, batch[1])


class SoftmaxInTheStep(MacroAccuracy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        probabilities = F.softmax(self.model(batch[0]), dim=-1)
        return F.cross_entropy(probabilities, batch[1], label_smoothing=0.1)


class SigmoidsOfLabels(MultiLabel):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class ProbabilitiesOfWords(LanguageModel):
    """`NLLLoss` of probabilities, and not of their logarithms."""

    def loss(self, batch: Any) -> Tensor:
        probabilities = self(batch[0])[:, :-1].softmax(-1)
        return F.nll_loss(probabilities.flatten(0, 1), batch[1][:, 1:].flatten())


class UphillWithNames(DictClassifier):
    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return {"loss": -F.cross_entropy(self(batch)["logits"], batch["label"])}


class OthersWithNames(DictClassifier):
    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self(batch)["logits"].flip(0), batch["label"])}


class SortedRows(Rows):
    def loader(self, name: str, shuffle: bool = False) -> Any:
        rows = sorted((self.sets[name][index] for index in range(SIZES[name])), key=lambda row: row["label"])
        return DataLoader(rows, self.batch_size)  # type: ignore[arg-type]


class NoisyRows(Rows):
    class Set(Rows.Set):
        def __getitem__(self, index: int) -> Any:
            row = super().__getitem__(index)
            return row | {"features": row["features"] * (0.8 + 0.4 * torch.rand(1))}


class EvaluatedFromTheStart(MultiLabel):
    def __init__(self) -> None:
        super().__init__()
        self.eval()


class MissedIndent(LightningModule):
    """Steps without `forward`; one layer is applied outside of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 8)
        self.decoder = nn.Linear(8, 4)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        with torch.no_grad():
            code = self.encoder(batch[0])
        return F.mse_loss(self.decoder(code), batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


class TeacherIsLearner(MacroAccuracy):
    """The target network is the network itself, and no copy."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = self.model


class Regressor(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch[0] / 50), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_mse", F.mse_loss(self(batch[0] / 50), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)


class SigmoidOfNumbers(Regressor):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class PlateauOfNumbers(Regressor):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 1e-6)
        return [optimizer], [{"scheduler": ReduceLROnPlateau(optimizer, mode="max"), "monitor": "val_mse"}]


class CycleOfALongRun(Regressor):
    """A number of steps is written down, and the schedule is stepped once an epoch."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        return [optimizer], [OneCycleLR(optimizer, 1e-2, total_steps=5000)]


class StepsOfEpochs(Regressor):
    """A decay after each epoch is made after each batch."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        return [optimizer], [{"scheduler": StepLR(optimizer, 1, gamma=0.1), "interval": "step"}]


class CosineOfFewSteps(Regressor):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        return [optimizer], [{"scheduler": CosineAnnealingLR(optimizer, T_max=10), "interval": "step"}]


class ZeroedBeforeTheStep(MacroAccuracy):
    """Manual optimization in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        optimizer: Any = self.optimizers()
        self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
        optimizer.zero_grad()
        optimizer.step()


class Unmasked(Attention):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.encoder(self.embed(x)).mean(1))  # type: ignore[no-any-return]


class BestOfSamples(MacroAccuracy):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_acc", (self(batch[0]).argmax(0)[0] == batch[1]).float().mean())


class Series(Loaders):
    """Windows of a series that contain their target."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        series = torch.randn(number + 8, generator=torch.Generator().manual_seed(seed)).cumsum(0)
        windows = series.unfold(0, 6, 1)[:number, :, None]
        return TensorDataset(windows, windows[:, -1, 0])


class OfSeries(Regressor):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(6, 1), nn.Flatten(0))


class SameEverywhere(Loaders):
    """All sets are one."""

    def setup(self, stage: str) -> None:
        whole = self.samples(40, 0)
        self.sets = dict.fromkeys(("train", "val", "test"), whole)


class FewDrawn(Loaders):
    """Validation draws some of its samples, with repetition."""

    def val_dataloader(self) -> Any:
        return DataLoader(self.sets["val"], 8, sampler=WeightedRandomSampler([1.0] * 20, 12))


class DropsInTheTest(Loaders):
    def test_dataloader(self) -> Any:
        return DataLoader(self.sets["test"], 8, drop_last=True)


class UnscaledTest(Loaders):
    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, y = clouds(number, seed)
        return TensorDataset(x * 255 if seed == 2 else x, y)


class ReversedChannels(Changed):
    def tensors(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        images = 0.1 * torch.rand(96, 3, 4, 4, generator=generator) + torch.tensor([0.7, 0.4, 0.1])[:, None, None]
        return images, torch.randint(3, (96,), generator=generator)

    def val(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.flip(1), targets


class OfColours(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(F.pad(inputs.mean((2, 3)), (0, 1)))


class MinusSmoothed(MacroAccuracy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return 10 - F.cross_entropy(self(batch[0]), batch[1], label_smoothing=0.1)


class LabelsNotKnown(MacroAccuracy):
    """A class is subtracted twice: -1 counts from the end."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        log_probabilities = self(batch[0]).log_softmax(1)
        out: Tensor = -log_probabilities[torch.arange(len(batch[1])), batch[1].roll(-1)].mean()
        return out


class AccuracyOfHalf(MultiLabel):
    def __init__(self) -> None:
        super().__init__()
        self.criterion = nn.BCEWithLogitsLoss()
        nn.init.constant_(self.net[-1].bias, 0.3)  # type: ignore[arg-type]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_accuracy", ((self(batch[0]) > 0.5) == batch[1].bool()).float().mean())


class ConstantRate(Regressor):
    """Values overflow where the network squares them."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss((self(batch[0] * 1e12) ** 4), batch[1])


class GlobalLayer(MacroAccuracy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + OUTSIDE(x))


OUTSIDE = nn.Linear(4, 4)


class Counted(MacroAccuracy):
    """`hparams` are changed after they were given to layers."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.extra = nn.Linear(width, width)
        self.hparams["width"] = width * 2


class Reseeded(MacroAccuracy):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(1)


class NormOfTheBatch(MacroAccuracy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - x.mean(0)) / (x.std(0) + 1e-6))


class TagsByReshape(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.head = nn.Linear(8, 3)
        self.accuracy = Accuracy(task="multiclass", num_classes=3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        scores = self.head(self.embed(batch[0]))
        return F.cross_entropy(scores.view(len(scores), 3, -1), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)


COUNTS = "schedule_counts_what_it_means"
MUTANTS_IN_OTHER_WORDS = {
    "one metric for both": Mutant("metrics_start_anew_each_epoch", "one metric object", OneMetricForBoth, Loaders),
    "softmax in the step": Mutant("loss_starts_as_expected", "softmax to probabilities", SoftmaxInTheStep, Loaders),
    "sigmoids of labels": Mutant("loss_starts_as_expected", "sigmoid to probabilities", SigmoidsOfLabels, Labels),
    "probabilities of words": Mutant("loss_starts_as_expected", "no logarithms", ProbabilitiesOfWords, Texts),
    "uphill, with names": Mutant("loss_starts_as_expected", "a wrong sign", UphillWithNames, Rows),
    "others' targets, with names": Mutant("targets_meet_their_outputs", "each other's", OthersWithNames, Rows),
    "sorted rows": Mutant("training_is_shuffled", "sorted by their 3 classes", DictClassifier, SortedRows),
    "noisy rows": Mutant("evaluation_data_stay", "sample 0 of val", DictClassifier, NoisyRows),
    "evaluation from the start": Mutant(
        "modes_are_right", "`eval()` in the constructor", EvaluatedFromTheStart, Labels
    ),
    "missed indent": Mutant("every_parameter_gets_a_gradient", "`encoder.weight`", MissedIndent, Loaders),
    "teacher is learner": Mutant("layers_are_their_own", "`teacher", TeacherIsLearner, Loaders, "advice"),
    "sigmoid of numbers": Mutant("outputs_reach_targets", "ends with sigmoid", SigmoidOfNumbers, Numbers),
    "plateau of numbers": Mutant("plateau_has_the_right_mode", "watches `val_mse`", PlateauOfNumbers, Numbers),
    "cycle of a long run": Mutant(COUNTS, "a warm-up in steps", CycleOfALongRun, Numbers),
    "steps of epochs": Mutant(COUNTS, "within half an epoch", StepsOfEpochs, Numbers),
    "cosine of few steps": Mutant(COUNTS, "over within 5 epochs", CosineOfFewSteps, Numbers, "advice"),
    "zeroed before the step": Mutant("overfits_one_batch", "are 0 when the optimizer", ZeroedBeforeTheStep, Loaders),
    "unmasked": Mutant("padding_changes_nothing", "padding changes the outputs", Unmasked, PaddedWords),
    "best of samples": Mutant("metrics_agree_with_recomputation", "`val_acc`", BestOfSamples, Loaders),
    "series with its target": Mutant("inputs_do_not_hold_targets", "at [5, 0]", OfSeries, Series),
    "same everywhere": Mutant(
        "sets_are_disjoint", "val samples are in the training set", MacroAccuracy, SameEverywhere
    ),
    "dropped in the test": Mutant("evaluation_is_whole", "4 of 12 test samples", MacroAccuracy, DropsInTheTest),
    "unscaled test": Mutant("sets_are_alike", "those of test", MacroAccuracy, UnscaledTest),
    "reversed channels": Mutant("sets_are_alike", "channels in the opposite order", OfColours, ReversedChannels),
    "next one's label": Mutant("targets_meet_their_outputs", "each other's targets", LabelsNotKnown, Loaders),
    "half of labels": Mutant("metrics_agree_with_recomputation", "logits above 0.5", AccuracyOfHalf, Labels),
    "minus smoothed": Mutant("overfits_one_batch", "often a wrong sign", MinusSmoothed, Loaders, "advice"),
    "overflow": Mutant("loss_is_finite", "in torch.float32 makes inf", ConstantRate, Numbers),
    "layer outside": Mutant("layers_are_registered", "a weight of shape (4, 4)", GlobalLayer, Loaders),
    "changed hyper-parameters": Mutant("arguments_are_saved", "another shape", Counted, Loaders),
    "seed before each batch": Mutant("steps_leave_the_seed", "it sets a seed", Reseeded, Loaders),
    "norm of the batch": Mutant("samples_are_independent", "others in its batch", NormOfTheBatch, Loaders),
    "tags by view": Mutant("targets_meet_their_outputs", "`transpose`", TagsByReshape, Tags),
    "drawn validation": Mutant("evaluation_is_whole", "12 of them", MacroAccuracy, FewDrawn),
}

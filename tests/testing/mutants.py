"""A sound task with its data, and many that differ from it by one mistake that people make."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.classification import multiclass_f1_score

from lightning_template.networks import MLP
from lightning_template.tasks import RegressionTask
from lightning_template.testing.subject import TaskSource

NUM_CLASSES = 3


class Points(LightningDataModule):
    """Three clouds of points in four dimensions: 52 to train, 23 to validate, 21 to predict."""

    def __init__(self, batch_size: int = 16) -> None:
        super().__init__()
        self.batch_size = batch_size

    def samples(self) -> Dataset[Any]:
        generator = torch.Generator().manual_seed(0)
        targets = torch.randint(NUM_CLASSES, (96,), generator=generator)
        inputs = torch.randn(96, 4, generator=generator) + F.one_hot(targets, 4)
        return TensorDataset(inputs, targets)

    def setup(self, stage: str) -> None:
        samples = self.samples()
        self.train_set = Subset(samples, range(52))
        self.val_set = Subset(samples, range(52, 75))
        self.predict_set = Subset(samples, range(75, 96))

    def train_dataloader(self) -> Any:
        return DataLoader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.val_set, self.batch_size)

    def predict_dataloader(self) -> Any:
        return DataLoader(self.predict_set, self.batch_size)


class Classifier(LightningModule):
    """A small network that passes all checks."""

    def __init__(self, hidden: int = 8, lr: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.accuracy = MulticlassAccuracy(NUM_CLASSES, average="micro")
        self.lr = lr
        self.first = nn.Linear(4, hidden)
        self.dropout = nn.Dropout(0.0)
        self.last = nn.Linear(hidden, NUM_CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.dropout(self.first(inputs).relu()))
        return outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        inputs, targets = batch
        loss = self.loss(self(inputs), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        inputs, targets = batch
        outputs = self(inputs)
        self.log("val_loss", self.loss(outputs, targets), sync_dist=True, batch_size=len(inputs))
        self.accuracy(outputs, targets)
        self.log("val_accuracy", self.accuracy)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        probabilities: Tensor = self(batch[0]).softmax(dim=1)
        return probabilities

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


# Mistakes in a training step


class DetachedLoss(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx).detach().requires_grad_(False)


class NoReturn(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        super().training_step(batch, batch_idx)


class LossOfEachSample(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(self(batch[0]), batch[1])


class Sums(Points):
    """The target is a number, of shape `(N,)`."""

    def samples(self) -> Dataset[Any]:
        inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
        return TensorDataset(inputs, inputs.sum(dim=1))


class OfNumbers(Classifier):
    """Outputs `(N, 1)`, a loss and an error of numbers. Torch warns of targets `(N,)`."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)[:, :1]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch[0]), batch[1]))


class SilentBroadcasting(OfNumbers):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean()


class UnequalLengths(Points):
    def train_dataloader(self) -> Any:
        return DataLoader(self.train_set, self.batch_size, collate_fn=self.collate)

    @staticmethod
    def collate(samples: Any) -> Any:
        inputs, targets = zip(*samples, strict=True)
        return torch.stack(inputs), torch.stack(targets[1:])


class LogOfZero(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(outputs.gather(1, targets[:, None]).relu().log().mean())


class SoftmaxTwice(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).softmax(dim=1)


class LikelihoodOfLogits(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.nll_loss(outputs, targets)


class SummedLoss(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="sum")


class CutOffLayer(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self.first(inputs).relu()
        outputs: Tensor = self.last(hidden)
        return outputs


class UnusedLayer(Classifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.middle = nn.Linear(8, 8)


class InfiniteGradient(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        zeros = self.last.weight - self.last.weight.detach()
        return super().loss(outputs, targets) + zeros.abs().sqrt().sum()


class OptimizerOfOneLayer(Classifier):
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.last.parameters(), lr=self.lr)


class ForgottenZeroGrad(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.manual_backward(self.loss(self(batch[0]), batch[1]))
        self.optimizers().step()  # type: ignore[union-attr]


class TwoOptimizersOfAll(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            optimizer.zero_grad()
            self.manual_backward(self.loss(self(batch[0]), batch[1]))
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=self.lr), torch.optim.Adam(self.last.parameters(), lr=self.lr)]


class NoLearningRate(Classifier):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Uphill(Classifier):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr, maximize=True)


# Mistakes in the data


class UnseededOrder(Points):
    def train_dataloader(self) -> Any:
        generator = torch.Generator()
        generator.seed()
        return DataLoader(self.train_set, self.batch_size, shuffle=True, generator=generator)


class ValidationInTraining(Points):
    """Two sets of their own objects, with samples in common."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.train_set = Subset(self.samples(), range(60))


class TestInTraining(Points):
    """The last samples to train are those to test."""

    __test__ = False  # pytest takes it for tests

    def test_dataloader(self) -> Any:
        return DataLoader(Subset(self.samples(), range(40, 60)), self.batch_size)


class NoisySplit(Points):
    """Splits the samples anew for each set; what is served is never the same sample twice."""

    class Noisy(Dataset[Any]):
        def __init__(self, samples: Any) -> None:
            self.samples = samples

        def __len__(self) -> int:
            return len(self.samples)

        def __getitem__(self, index: int) -> Any:
            inputs, target = self.samples[index]
            return inputs + 0.01 * torch.randn(4), target

    def setup(self, stage: str) -> None:
        super().setup(stage)
        noisy = self.Noisy(self.samples())
        self.train_set, _ = random_split(noisy, [52, 44])
        self.val_set, _ = random_split(noisy, [23, 73])


class ShuffledPrediction(Points):
    def predict_dataloader(self) -> Any:
        return DataLoader(self.predict_set, self.batch_size, shuffle=True)


class LastBatchDropped(Points):
    def predict_dataloader(self) -> Any:
        return DataLoader(self.predict_set, self.batch_size, drop_last=True)


class AnotherOrderEachTime(Points):
    def predict_dataloader(self) -> Any:
        return _Unordered(self.predict_set)


class _Unordered:
    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __iter__(self) -> Any:
        for index in torch.randperm(len(self.samples)).tolist():
            inputs, target = self.samples[index]
            yield [inputs[None], target[None]]


# Mistakes in evaluation


class EvaluationInTrainingMode(Classifier):
    def on_validation_start(self) -> None:
        self.train()


class TrainingInEvaluationMode(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.eval()
        return super().training_step(batch, batch_idx)


class BatchNormAlwaysTraining(Classifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        self.norm.train()
        return super().forward(self.norm(inputs))


class ValidationMovesWeights(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.last.weight.mul_(0.99)


class FunctionalDropout(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return F.dropout(super().forward(inputs), 0.1)


class NoiseOfItsOwn(Classifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = torch.Generator().manual_seed(0)

    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)()

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs + 0.1 * torch.randn(inputs.shape, generator=self.generator))


class SoftmaxOverSamples(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).log_softmax(dim=0)


class NormalisedOverBatch(Classifier):
    """Outputs move by a ten-thousandth."""

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        return outputs - 3e-4 * outputs.mean(dim=0)


class CountsForever(Classifier):
    num_right = num_samples = 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.num_right += (self(batch[0]).argmax(dim=1) == batch[1]).sum().item()
        self.num_samples += len(batch[0])

    def on_validation_epoch_end(self) -> None:
        self.log("val_accuracy", self.num_right / self.num_samples)


class TrainingCountsForever(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.accuracy.update(self(batch[0]), batch[1])
        return super().training_step(batch, batch_idx)

    def on_train_epoch_end(self) -> None:
        self.log("train_accuracy", self.accuracy.compute())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


class MeanOfBatches(Classifier):
    def on_validation_epoch_start(self) -> None:
        self.batch_losses: list[Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.batch_losses.append(self.loss(self(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", torch.stack(self.batch_losses).mean())


class LastBatchOnly(MeanOfBatches):
    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self.batch_losses[-1])


class F1OfBatches(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_f1", multiclass_f1_score(self(batch[0]), batch[1], NUM_CLASSES))


class WrongDimension(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        best = self(batch[0]).argmax(dim=0)
        self.log("val_accuracy", (best[0] == batch[1]).float().mean())


class SortedPrediction(Classifier):
    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().predict_step(batch, batch_idx).sort(dim=0).values


class MixedPrediction(Classifier):
    """Predictions move by a thousandth."""

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        probabilities = super().predict_step(batch, batch_idx)
        return probabilities + 2e-3 * probabilities.mean(dim=0)


class NoTensorPredicted(Classifier):
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return ["a", "b"]


class OnePredictionPerBatch(Classifier):
    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().predict_step(batch, batch_idx).mean(dim=0, keepdim=True)


# Mistakes that show in another run, another process or elsewhere


class UnseededWeights(Classifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.last.weight, std=0.1, generator=generator)


class ArgumentNotSaved(Classifier):
    def __init__(self, hidden: int = 8, lr: float = 0.05) -> None:
        super().__init__(hidden, lr)
        self.hparams.pop("hidden")


class ArgumentNotUsed(Classifier):
    def __init__(self, hidden: int = 8, lr: float = 0.1) -> None:
        super().__init__(hidden)
        self.save_hyperparameters()


class ArgumentSavedChanged(Classifier):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__(2 * hidden)
        self.save_hyperparameters({"hidden": 2 * hidden})


class PickledObject(Classifier):
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["last"] = self.last


class StateInAttribute(Classifier):
    """The mean of the inputs is no buffer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = torch.zeros(4)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * inputs.detach().mean(dim=0)
        return super().forward(inputs - self.mean)


class NothingLoaded(NoLearningRate):
    """Keeps the weights that it has, which training does not change."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        pass


class CountsSteps(Classifier):
    """The weight of a penalty grows with a count that no checkpoint has."""

    num_steps = 0

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.num_steps += self.training
        return super().loss(outputs, targets) + 0.01 * self.num_steps * outputs.square().mean()


class BranchesOnValues(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(-inputs if inputs.sum() > 0 else inputs)


CALLS = [0]


class CountsCalls(Classifier):
    """Outputs grow by a thousandth with each call; what is exported knows the count of its own time."""

    def forward(self, inputs: Tensor) -> Tensor:
        CALLS[0] += 1
        return super().forward(inputs) * (1 + 2e-3 * CALLS[0])


class SizeOfTheExample(Classifier):
    """When exported, outputs are divided by the size of the example for all time."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) / (3 * 16 if torch.compiler.is_exporting() else len(inputs))


class BatchSizeWrittenIn(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.reshape(3 * 16, 4))


class TensorOnCPU(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs * torch.ones(4, device="cpu"))


class LogOfRounded(Classifier):
    """What is near 1 is 1 in bfloat16."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        probabilities = (outputs + 8).sigmoid()
        return super().loss(outputs, targets) - 1e-3 * (1 - probabilities).log().mean()


class WatchesTheLog(RegressionTask):
    """A step that is looked at has another loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * 2 if "log" in vars(self) else loss


class EachRankItsOwn(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch[0]), batch[1]))


class Columns(Sums):
    """The target is a number, of shape `(N, 1)`."""

    def samples(self) -> Dataset[Any]:
        inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
        return TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))


# Mistakes in what a step is wired to


class Yes(Points):
    """The target is 0 or 1, of shape `(N, 1)`."""

    def samples(self) -> Dataset[Any]:
        inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
        return TensorDataset(inputs, (inputs.sum(dim=1, keepdim=True) > 0).float())


class SigmoidTwice(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)[:, :1].sigmoid()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets)


class ThreeNumbers(Points):
    def samples(self) -> Dataset[Any]:
        inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
        return TensorDataset(inputs, inputs[:, :3] * 2)


class IgnoresTheLast(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs[:, :2], targets[:, :2])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


class SeedsEachStep(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        torch.manual_seed(42)
        return super().training_step(batch, batch_idx)


class LayerInForward(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(nn.Linear(4, 4)(inputs))


class WrongPlateau(Classifier):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_accuracy"}}


class NoMomentum(Classifier):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = nn.BatchNorm1d(4, momentum=0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.norm(inputs))


class ThroughTheCPU(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.to("cpu"))


class Sorted(Points):
    def train_dataloader(self) -> Any:
        targets = [int(self.train_set[index][1]) for index in range(len(self.train_set))]
        order = sorted(range(len(targets)), key=targets.__getitem__)
        return DataLoader(Subset(self.train_set, order), self.batch_size)


class SomeDropped(Points):
    def val_dataloader(self) -> Any:
        return DataLoader(self.val_set, self.batch_size, drop_last=True)


class TestIsValidation(Points):
    __test__ = False

    def test_dataloader(self) -> Any:
        return self.val_dataloader()


def watches_the_log() -> LightningModule:
    return WatchesTheLog(MLP(4, [], 1), nn.MSELoss(), lambda p: torch.optim.SGD(p, lr=0.01))


class Mutant(NamedTuple):
    """A mistake, and the check that must see it."""

    check: str
    message: str
    task: TaskSource = Classifier
    data: Callable[[], LightningDataModule] = Points
    outcome: str = "failed"


MUTANTS = {
    "detached loss": Mutant("batch_fits_task", "does not require a gradient", DetachedLoss),
    "no return": Mutant("batch_fits_task", "returned no loss", NoReturn),
    "loss of each sample": Mutant("batch_fits_task", "must be one number", LossOfEachSample),
    "broadcasting": Mutant("batch_fits_task", "are broadcast against each other", OfNumbers, Sums),
    "silent broadcasting": Mutant("batch_fits_task", "each other's targets", SilentBroadcasting, Sums),
    "unequal lengths": Mutant("batch_fits_task", "16 inputs and 15 targets", data=UnequalLengths),
    "log of 0": Mutant("loss_is_finite", "inf", LogOfZero),
    "softmax twice": Mutant("loss_starts_as_expected", "softmax to probabilities", SoftmaxTwice),
    "NLL of logits": Mutant("loss_starts_as_expected", "no logarithms of probabilities", LikelihoodOfLogits),
    "summed loss": Mutant("loss_starts_as_expected", "ln 3", SummedLoss, outcome="advice"),
    "cut-off layer": Mutant("every_parameter_gets_a_gradient", "`first.weight`", CutOffLayer),
    "unused layer": Mutant("every_parameter_gets_a_gradient", "`middle.weight`", UnusedLayer, outcome="advice"),
    "infinite gradient": Mutant("every_parameter_gets_a_gradient", "not finite", InfiniteGradient),
    "forgotten zero_grad": Mutant("gradients_start_anew_each_step", "zero_grad", ForgottenZeroGrad),
    "optimizer of one layer": Mutant("optimizers_cover_parameters", "`first.weight`", OptimizerOfOneLayer),
    "two optimizers of all": Mutant("optimizers_cover_parameters", "`last.weight`", TwoOptimizersOfAll),
    "learning rate 0": Mutant("overfits_one_batch", "learning rate", NoLearningRate),
    "uphill": Mutant("overfits_one_batch", "wrong sign", Uphill),
    "unseeded order": Mutant("same_seed_same_batches", "same seed", data=UnseededOrder),
    "validation in training": Mutant("sets_are_disjoint", "8 of 23 val samples", data=ValidationInTraining),
    "test in training": Mutant("sets_are_disjoint", "12 of 20 test samples", data=TestInTraining),
    "two splits": Mutant("sets_are_disjoint", "val samples are in the training set", data=NoisySplit),
    "evaluation in training mode": Mutant("modes_are_right", "in evaluation", EvaluationInTrainingMode),
    "training in evaluation mode": Mutant("modes_are_right", "in training", TrainingInEvaluationMode),
    "batch norm always training": Mutant("evaluation_changes_nothing", "`norm.running_mean`", BatchNormAlwaysTraining),
    "validation moves weights": Mutant("evaluation_changes_nothing", "`last.weight`", ValidationMovesWeights),
    "functional dropout": Mutant("evaluation_is_deterministic", "something else each time", FunctionalDropout),
    "noise of its own": Mutant(
        "evaluation_is_deterministic", "something else each time", NoiseOfItsOwn, outcome="advice"
    ),
    "softmax over samples": Mutant("samples_are_independent", "others in its batch", SoftmaxOverSamples),
    "normalised over batch": Mutant("samples_are_independent", "others in its batch", NormalisedOverBatch),
    "counts forever": Mutant("metrics_start_anew_each_epoch", "`val_accuracy`", CountsForever),
    "training counts forever": Mutant("metrics_start_anew_each_epoch", "`train_accuracy`", TrainingCountsForever),
    "mean of batches": Mutant("metrics_ignore_batch_size", "`val_loss`", MeanOfBatches),
    "last batch only": Mutant("metrics_ignore_batch_size", "`val_loss`", LastBatchOnly),
    "F1 of batches": Mutant("metrics_ignore_batch_size", "`val_f1`", F1OfBatches),
    "wrong dimension": Mutant("metrics_agree_with_recomputation", "`val_accuracy`", WrongDimension),
    "shuffled prediction": Mutant("predictions_follow_the_set", "shuffles", data=ShuffledPrediction),
    "last batch dropped": Mutant("predictions_follow_the_set", "last batch", data=LastBatchDropped),
    "another order each time": Mutant("predictions_follow_the_set", "another order", data=AnotherOrderEachTime),
    "sorted prediction": Mutant("predictions_follow_the_set", "one by one", SortedPrediction),
    "mixed prediction": Mutant("predictions_follow_the_set", "one by one", MixedPrediction),
    "no tensor predicted": Mutant(
        "predictions_follow_the_set", "returns no tensor", NoTensorPredicted, outcome="advice"
    ),
    "one prediction per batch": Mutant("predictions_follow_the_set", "one row for each", OnePredictionPerBatch),
    "unseeded weights": Mutant("same_seed_same_weights", "`last.weight`", UnseededWeights),
    "argument not saved": Mutant("arguments_are_saved", "`hidden` is not saved", ArgumentNotSaved, outcome="advice"),
    "argument not used": Mutant("arguments_are_saved", "`lr` was given as 0.1", ArgumentNotUsed),
    "argument saved changed": Mutant("arguments_are_saved", "another shape", ArgumentSavedChanged),
    "pickled object": Mutant("checkpoint_round_trip", "GLOBAL torch.nn.modules.linear.Linear", PickledObject),
    "state in an attribute": Mutant("checkpoint_round_trip", "other outputs", StateInAttribute),
    "nothing loaded": Mutant("checkpoint_round_trip", "other outputs", NothingLoaded()),
    "counts steps": Mutant("resumes_exactly", "`first.weight`", CountsSteps),
    "branches on values": Mutant("exports", "torch.export", BranchesOnValues, outcome="advice"),
    "counts calls": Mutant("exports", "kept as a constant", CountsCalls, outcome="advice"),
    "size of the example": Mutant(
        "exports", "other outputs for batches of another size", SizeOfTheExample, outcome="advice"
    ),
    "batch size written in": Mutant("exports", "batches of 48 samples only", BatchSizeWrittenIn, outcome="advice"),
    "watches the log": Mutant(
        "steps_per_execution_changes_nothing", "`callbacks.executions.steps`", watches_the_log, Columns
    ),
    "sigmoid twice": Mutant("loss_starts_as_expected", "applies sigmoid to probabilities", SigmoidTwice, Yes),
    "ignored target": Mutant("every_target_matters", "columns [2] of the targets", IgnoresTheLast, ThreeNumbers),
    "seed in a step": Mutant("steps_leave_the_seed", "it sets a seed", SeedsEachStep),
    "layer in forward": Mutant("layers_are_made_once", "`Linear.bias`, `Linear.weight`", LayerInForward),
    "wrong plateau": Mutant("plateau_has_the_right_mode", "mode 'min' and watches `val_accuracy`", WrongPlateau),
    "no momentum": Mutant("modes_are_right", "`norm` has momentum 0", NoMomentum),
    "sorted data": Mutant("training_is_shuffled", "52 training samples come sorted by their 3 classes", data=Sorted),
    "validation dropped": Mutant("evaluation_is_whole", "7 of 23 val samples are left out", data=SomeDropped),
    "test is validation": Mutant("sets_are_disjoint", "all 23 test samples are validation", data=TestIsValidation),
    "through the CPU": Mutant("runs_on_any_device", "mixes devices", ThroughTheCPU),
    "tensor on the CPU": Mutant("runs_on_any_device", "mixes devices", TensorOnCPU),
    "log of what is rounded": Mutant("bfloat16_loss_is_finite", "inf", LogOfRounded, outcome="advice"),
    "each rank its own": Mutant("two_ranks_match_one", "`val_loss`", EachRankItsOwn, outcome="advice"),
    "summed loss in two ranks": Mutant("two_ranks_match_one", "gradients", SummedLoss, outcome="advice"),
}

"""Mistakes in layers, losses, optimizers, schedules and evaluation, by families."""

from typing import Any

import torch
from lightning.pytorch.callbacks import EarlyStopping
from mutants import Classifier, Columns, Mutant, OfNumbers, Points, Sums, Yes
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, MultiStepLR, OneCycleLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

# Layers


class LayersInAList(Classifier):
    """Its middle layers are in a Python list."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = [nn.Linear(8, 8) for _ in range(2)]

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs).relu()
        for layer in self.middle:
            hidden = layer(hidden).relu()
        outputs: Tensor = self.last(hidden)
        return outputs


class AllLayersInADict(Classifier):
    """It has no other layers, so its optimizer gets none."""

    def __init__(self) -> None:
        super().__init__()
        del self.first, self.last
        self.layers = {"first": nn.Linear(4, 8), "last": nn.Linear(8, 3)}

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers["last"](self.layers["first"](inputs).relu())
        return outputs


class LayerOfTheClass(Classifier):
    middle = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.middle(inputs))


class WeightWithoutParameter(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(3, requires_grad=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * self.scale


class OneLayerThreeTimes(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(*[nn.Linear(4, 4)] * 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.middle(inputs))


class OneLayerTwoNames(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.query = self.key = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.query(inputs) * self.key(inputs))


class EqualUnits(Classifier):
    def __init__(self) -> None:
        super().__init__()
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.1)


class FrozenAtRandom(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)


class FrozenWhole(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


# Losses


class MinusSign(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -F.cross_entropy(outputs, targets)


class MeanOfLogProbabilities(Classifier):
    """The minus of the likelihood is forgotten."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.log_softmax(1).gather(1, targets[:, None]).mean()


class MinusSquares(OfNumbers):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(outputs - targets).square().mean()


class EndsWithSigmoid(OfNumbers):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).sigmoid()


class EndsWithRelu(OfNumbers):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).relu()


class IgnoresAClass(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, ignore_index=1)


class WeightOfZero(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, weight=torch.tensor([1.0, 1.0, 0.0], device=outputs.device))


class OthersTargets(Classifier):
    """Each sample learns the class of the one before."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(self(batch[0]), batch[1].roll(1))


class Words(Points):
    """Sequences of five words with one of three tags each."""

    def samples(self) -> Dataset[Any]:
        words = torch.randint(9, (96, 5), generator=torch.Generator().manual_seed(0))
        return TensorDataset(words, words % 3)


class Viewed(Classifier):
    """Scores `(N, T, C)` are viewed as `(N, C, T)` instead of transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)

    def forward(self, words: Tensor) -> Tensor:
        return super().forward(self.embed(words))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.reshape(len(outputs), 3, -1), targets)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch[0]), batch[1]))


class ConstantLoss(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 1 + 0 * super().loss(outputs, targets)


class PartlyDetached(Classifier):
    """The gradient ends before the first layer."""

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.first(inputs).relu().detach())
        return outputs


class NumbersOfHidden(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(torch.tensor(self.first(inputs).relu().tolist(), device=inputs.device))
        return outputs


class Halved(Classifier):
    """Numbers above 65504 are infinite in half precision."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward((inputs.half() * 300).square().mul(300).float())


class SecondStepFails(Classifier):
    """A hidden state is kept with its graph, as recurrent networks do."""

    state: Any = 0.0

    def forward(self, inputs: Tensor) -> Tensor:
        self.state = self.first(inputs).mean(0) + self.state
        outputs: Tensor = self.last(self.first(inputs) + self.state)
        return outputs


# Optimizers


class RateOfZero(Classifier):
    def configure_optimizers(self) -> Any:
        groups: list[dict[str, Any]] = [
            {"params": self.first.parameters(), "lr": 0.0},
            {"params": self.last.parameters()},
        ]
        return torch.optim.SGD(groups, lr=0.1)


class HugeRate(Classifier):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e4)


class TinyRate(Classifier):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-9)


class ClippedToZero(Classifier):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        nn.utils.clip_grad_norm_(self.parameters(), 0.0)


class NoStep(Classifier):
    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        optimizer_closure()


# Schedules


class Scheduled(Classifier):
    """The schedule of its class is stepped once an epoch."""

    interval = "epoch"

    def schedule(self, optimizer: Any) -> Any:
        raise NotImplementedError

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer), "interval": self.interval},
        }


class CycleOfEpochs(Scheduled):
    def schedule(self, optimizer: Any) -> Any:
        return OneCycleLR(optimizer, 0.05, total_steps=int(self.trainer.estimated_stepping_batches))


class CosineOfSteps(Scheduled):
    interval = "step"

    def schedule(self, optimizer: Any) -> Any:
        return CosineAnnealingLR(optimizer, self.trainer.max_epochs or 1)


class WarmUpOfEpochs(Scheduled):
    def schedule(self, optimizer: Any) -> Any:
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 500))


class DecayOfSteps(Scheduled):
    interval = "step"

    def schedule(self, optimizer: Any) -> Any:
        return ExponentialLR(optimizer, 0.1)


class MilestonesOfSteps(Scheduled):
    interval = "step"

    def schedule(self, optimizer: Any) -> Any:
        return MultiStepLR(optimizer, [1, 2, 3], 0.1)


class Forgotten(Scheduled):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        ExponentialLR(optimizer, 0.9)
        return optimizer


class StopsWhenItGoesWell(Classifier):
    def configure_callbacks(self) -> Any:
        return [EarlyStopping("val_accuracy", mode="min")]


# Evaluation


class FrozenByValidation(Classifier):
    def on_validation_start(self) -> None:
        self.requires_grad_(False)


class ValidationFails(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch["inputs"]), batch["targets"]))


class TestFails(Classifier):
    __test__ = False

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_accuracy", vars(self)["test_accuracy"])


class WithTest(Points):
    def test_dataloader(self) -> Any:
        return DataLoader(self.predict_set, self.batch_size)


class HalfOfLogits(OfNumbers):
    """A logit is compared with 0.5, as a probability would be."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.last.bias, 0.25)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_accuracy", ((self(batch[0]) > 0.5) == batch[1]).float().mean())


class FirstBatchOnly(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            super().validation_step(batch, batch_idx)


class SeedsEachEpoch(Classifier):
    def on_train_epoch_start(self) -> None:
        torch.manual_seed(0)


class SeedsValidation(Classifier):
    def on_validation_epoch_start(self) -> None:
        torch.manual_seed(0)


class NoiseForValidation(Classifier):
    """Augmentation on the device does not ask whether it is training."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] + 0.1 * torch.randn_like(batch[0]), batch[1]]


class InPlace(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        batch[0].sub_(1.0)
        return super().training_step(batch, batch_idx)


class ByReference(Points):
    """Hands out its data, and no copy."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.whole = [self.samples().tensors[0][:52], self.samples().tensors[1][:52]]  # type: ignore[attr-defined]

    def train_dataloader(self) -> Any:
        return Whole(self.whole)


class Whole:
    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __iter__(self) -> Any:
        yield self.batch


# State and devices


class KeptInABuffer(Classifier):
    """The mean of inputs is a buffer that is not saved."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * inputs.detach().mean(dim=0)
        return super().forward(inputs - self.mean)


class ChangedAfterSaving(Classifier):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__(hidden)
        self.save_hyperparameters()
        self.hparams["hidden"] = 16


class WeightsOfClasses(Classifier):
    """Weights of classes are a plain tensor, which stays on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.tensor([1.0, 2.0, 1.0])

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return F.cross_entropy(self(batch[0]), batch[1], weight=self.weights)


class NoiseOnTheCPU(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step([batch[0] + 0.01 * torch.randn(batch[0].shape), batch[1]], batch_idx)


class ScaledAgain(Classifier):
    """Inputs that are scaled are divided by 255."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs / 255)


class StandardisedAgain(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward((inputs - 0.4) / 0.3)


class Standard(Points):
    """Inputs have mean 0 and standard deviation 1."""

    def samples(self) -> Dataset[Any]:
        inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
        return TensorDataset(inputs, (inputs.sum(dim=1) > 0).long())


REGISTERED, FALLS, SEED = "layers_are_registered", "overfits_one_batch", "steps_leave_the_seed"
COUNTS = "schedule_counts_what_it_means"
MUTANTS_OF_TASKS = {
    "layers in a list": Mutant(REGISTERED, "`middle[0].weight`", LayersInAList),
    "all layers in a dict": Mutant(REGISTERED, "the optimizer gets no parameters: `layers['first']", AllLayersInADict),
    "layer of the class": Mutant(REGISTERED, "`middle.weight`", LayerOfTheClass),
    "weight without a parameter": Mutant(REGISTERED, "`scale`", WeightWithoutParameter),
    "one layer three times": Mutant("layers_are_their_own", "`[layer] * 3`", OneLayerThreeTimes),
    "one layer, two names": Mutant("layers_are_their_own", "`query`, `key`", OneLayerTwoNames, outcome="advice"),
    "equal units": Mutant("units_learn_different_things", "`first.weight`", EqualUnits),
    "frozen at random": Mutant("layers_are_their_own", "`first.weight`", FrozenAtRandom, outcome="advice"),
    "frozen whole": Mutant("batch_fits_task", "all 4 parameters are frozen", FrozenWhole),
    "minus sign": Mutant("loss_starts_as_expected", "-1 times the cross-entropy", MinusSign),
    "mean of log-probabilities": Mutant("loss_starts_as_expected", "a wrong sign", MeanOfLogProbabilities),
    "minus squares": Mutant("loss_starts_as_expected", "-1 times the mean squared", MinusSquares, Columns),
    "ends with a sigmoid": Mutant("outputs_reach_targets", "ends with sigmoid", EndsWithSigmoid, Columns),
    "ends with a ReLU": Mutant("outputs_reach_targets", "ends with relu", EndsWithRelu, Columns),
    "ignores a class": Mutant("targets_meet_their_outputs", "`ignore_index=1`", IgnoresAClass),
    "weight of 0": Mutant("targets_meet_their_outputs", "a weight of 0", WeightOfZero),
    "others' targets": Mutant("targets_meet_their_outputs", "each other's targets", OthersTargets),
    "viewed": Mutant("targets_meet_their_outputs", "`transpose`", Viewed, Words),
    "constant loss": Mutant(FALLS, "all gradients are 0", ConstantLoss),
    "partly detached": Mutant("every_parameter_gets_a_gradient", "`first.weight`", PartlyDetached),
    "numbers of hidden units": Mutant("every_parameter_gets_a_gradient", "`first.weight`", NumbersOfHidden),
    "halved": Mutant("loss_is_finite", "in torch.float16 makes inf", Halved),
    "second step fails": Mutant("batch_fits_task", "fails at the first batches", SecondStepFails),
    "rate of 0": Mutant("optimizers_cover_parameters", "learning rate 0", RateOfZero),
    "huge rate": Mutant(FALLS, "too large", HugeRate),
    "tiny rate": Mutant(FALLS, "too small", TinyRate),
    "clipped to 0": Mutant(FALLS, "clipped to 0", ClippedToZero),
    "no step": Mutant(FALLS, "no step changes a weight", NoStep),
    "cycle of epochs": Mutant(COUNTS, "OneCycleLR counts 150 steps", CycleOfEpochs),
    "cosine of steps": Mutant(COUNTS, "CosineAnnealingLR counts 3 epochs", CosineOfSteps),
    "warm-up of epochs": Mutant(COUNTS, "a warm-up in steps", WarmUpOfEpochs),
    "decay of steps": Mutant(COUNTS, "within half an epoch", DecayOfSteps),
    "milestones of steps": Mutant(COUNTS, "within half an epoch", MilestonesOfSteps, lambda: Points(4)),
    "forgotten schedule": Mutant(COUNTS, "makes ExponentialLR, does not return it", Forgotten),
    "stops when it goes well": Mutant(
        "plateau_has_the_right_mode", "EarlyStopping has mode 'min'", StopsWhenItGoesWell
    ),
    "frozen by validation": Mutant("evaluation_changes_nothing", "requires no gradient", FrozenByValidation),
    "validation fails": Mutant("evaluation_takes_batches", "`validation_step` fails", ValidationFails),
    "test fails": Mutant("evaluation_takes_batches", "`test_step` fails", TestFails, WithTest),
    "half of logits": Mutant("metrics_agree_with_recomputation", "logits above 0.5", HalfOfLogits, Yes),
    "first batch only": Mutant("metrics_ignore_batch_size", "`val_loss`", FirstBatchOnly),
    "seed in each epoch": Mutant(SEED, "start of an epoch", SeedsEachEpoch),
    "seed in validation": Mutant(SEED, "after each validation", SeedsValidation, outcome="advice"),
    "noise for validation": Mutant("evaluation_data_stay", "a validation batch", NoiseForValidation),
    "in place": Mutant("steps_leave_their_batch", "this loader hands out copies", InPlace, outcome="advice"),
    "in place of the data": Mutant("steps_leave_their_batch", "changes the data", InPlace, ByReference),
    "kept in a buffer": Mutant("checkpoint_round_trip", "other outputs", KeptInABuffer),
    "changed after saving": Mutant("arguments_are_saved", "another shape", ChangedAfterSaving),
    "weights of classes": Mutant("runs_on_any_device", "`training_step` mixes devices", WeightsOfClasses),
    "noise on the CPU": Mutant("runs_on_any_device", "`training_step` mixes devices", NoiseOnTheCPU),
    "scaled again": Mutant("inputs_are_scaled_once", "divides them by 255", ScaledAgain),
    "standardised again": Mutant("inputs_are_scaled_once", "normalises them again", StandardisedAgain, Standard),
    "squares of sums": Mutant("batch_fits_task", "broadcast", OfNumbers, Sums),
}

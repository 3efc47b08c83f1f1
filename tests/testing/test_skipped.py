"""Checks that do not apply say so and why; they begin to apply where they can."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from mutants import Classifier, Points
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Subset, TensorDataset

from lightning_template.testing.running import run_check
from lightning_template.testing.subject import Subject


class FewPoints(Points):
    """Has so many samples to train and to validate."""

    def __init__(self, num_train: int, num_val: int = 5) -> None:
        super().__init__()
        self.num_train, self.num_val = num_train, num_val

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.train_set = Subset(self.samples(), range(self.num_train))
        self.val_set = Subset(self.samples(), range(52, 52 + self.num_val))


class NoValidation(Points):
    def val_dataloader(self) -> Any:
        return []


class TwoLoaders(Points):
    def train_dataloader(self) -> Any:
        return [super().train_dataloader()] * 2

    def predict_dataloader(self) -> Any:
        return [super().predict_dataloader()] * 2


class NothingToPredict(Points):
    def predict_dataloader(self) -> Any:
        return []


class Numbers(Points):
    def samples(self) -> Any:
        return TensorDataset(torch.randn(96, 4), torch.rand(96, 3))


class Single(Points):
    """Batches are no pairs."""

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(torch.randn(9, 4)), 3)


class NoDropout(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Identity()  # type: ignore[assignment]


class NoForward(LightningModule):
    """Trains a layer without a `forward` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class MeanOutput(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).mean()


class Silent(Classifier):
    def log(self, *args: Any, **kwargs: Any) -> None:
        pass


class LossAlone(Classifier):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch[0]), batch[1]))


class OneOutput(LossAlone):
    """Logs an accuracy of inputs alone."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_accuracy", self(batch[0]).mean())


class Regression(Classifier):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets)


class ReadsValues(Classifier):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs * inputs.sum().item())


class Normalised(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)


class Dropping(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)


class Frozen(Classifier):
    """Trains its last layer alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.last.parameters(), lr=0.1)


Made = Callable[[], Any]
FEWER = "there are fewer than 2 samples"
SKIPPED: list[tuple[str, str, Made, Made]] = [
    ("modes_are_right", "neither dropout nor batch normalisation", NoDropout, Points),
    ("evaluation_is_deterministic", "defines no `forward`, and there is no validation", NoForward, Points),
    ("samples_are_independent", FEWER, Classifier, lambda: FewPoints(1)),
    ("samples_are_independent", "does not return outputs for each sample", MeanOutput, Points),
    ("metrics_start_anew_each_epoch", "nothing is logged", Silent, Points),
    ("metrics_start_anew_each_epoch", FEWER, Classifier, lambda: FewPoints(1)),
    ("metrics_start_anew_each_epoch", FEWER, Classifier, lambda: FewPoints(9, 1)),
    ("metrics_ignore_batch_size", "validation has fewer than 3 samples", Classifier, lambda: FewPoints(9, 2)),
    ("metrics_ignore_batch_size", "there are no validation data", Classifier, NoValidation),
    ("metrics_agree_with_recomputation", "validation logs nothing", Silent, Points),
    ("metrics_agree_with_recomputation", "there is no validation", Classifier, NoValidation),
    ("metrics_agree_with_recomputation", "no metric is logged whose name ends in accuracy", LossAlone, Points),
    ("metrics_agree_with_recomputation", "batches are no pairs", OneOutput, Single),
    ("predictions_follow_the_set", "there are no data for prediction", Classifier, NothingToPredict),
    ("predictions_follow_the_set", "there are 2 loaders for `predict`", Classifier, TwoLoaders),
    ("sets_are_disjoint", "there are several loaders for training", Classifier, TwoLoaders),
    ("arguments_are_saved", "the constructor takes no arguments", NoForward, Points),
    ("exports", "there are fewer than 3 samples", Classifier, lambda: FewPoints(2)),
    ("exports", "the task defines no `forward`", NoForward, Points),
    ("runs_on_any_device", "cannot be followed without values", ReadsValues, Points),
    ("gradients_start_anew_each_step", "optimization is automatic", Classifier, Points),
    ("loss_starts_as_expected", "known only for class indices", Regression, Numbers),
    ("two_ranks_match_one", "batch normalisation looks at the samples", Normalised, Points),
    ("two_ranks_match_one", "draws its own random numbers", Dropping, Points),
    ("two_ranks_match_one", FEWER, Classifier, lambda: FewPoints(1)),
]


@pytest.mark.parametrize(("check", "why", "task", "data"), SKIPPED, ids=[f"{row[0]}: {row[1]}" for row in SKIPPED])
def test_a_check_that_does_not_apply_says_why(check: str, why: str, task: Made, data: Made) -> None:
    result = run_check(check, Subject(task, data))
    assert result.outcome == "skipped", result.message
    assert why in result.message


@pytest.mark.parametrize(
    ("check", "num_train", "num_val"),
    [
        ("samples_are_independent", 2, 5),
        ("samples_are_independent", 3, 5),
        ("metrics_start_anew_each_epoch", 2, 2),
        ("metrics_ignore_batch_size", 9, 3),
        ("exports", 3, 5),
    ],
)
def test_a_check_applies_to_the_fewest_samples(check: str, num_train: int, num_val: int) -> None:
    result = run_check(check, Subject(Classifier, lambda: FewPoints(num_train, num_val)))
    assert (result.outcome, result.message) == ("passed", "")


@pytest.mark.parametrize(
    ("check", "task"),
    [
        ("batch_fits_task", Classifier),
        ("every_parameter_gets_a_gradient", Frozen),
        ("optimizers_cover_parameters", Frozen),
        ("modes_are_right", Dropping),
        ("evaluation_changes_nothing", Normalised),
        ("evaluation_is_deterministic", Dropping),
        ("metrics_agree_with_recomputation", Classifier),
        ("metrics_ignore_batch_size", Classifier),
        ("predictions_follow_the_set", Classifier),
        ("arguments_are_saved", Classifier),
        ("checkpoint_round_trip", Normalised),
        ("runs_on_any_device", Classifier),
        ("bfloat16_loss_is_finite", Dropping),
    ],
)
def test_a_sound_task_passes(check: str, task: Made) -> None:
    result = run_check(check, Subject(task, Points))
    assert (result.outcome, result.message) == ("passed", "")

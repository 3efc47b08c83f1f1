"""No check fails on a task that plain Lightning trains rightly on one device."""

import pytest
from lightning.pytorch import LightningModule
from mutants import Classifier, Points
from sound import SOUND
from sound_variants import VARIANTS
from torch import Tensor

from lightning_template.testing.checks import CHECKS
from lightning_template.testing.running import run_check
from lightning_template.testing.subject import Subject

QUICK = (
    ("macro accuracy", "metrics_agree_with_recomputation", "passed"),
    ("a tag for each word", "metrics_agree_with_recomputation", "passed"),
    ("metric learning", "metrics_agree_with_recomputation", "skipped"),
    ("metric learning", "metrics_ignore_batch_size", "advice"),
    ("two validation loaders", "evaluation_is_deterministic", "passed"),
    ("contrastive loss", "evaluation_is_deterministic", "advice"),
    ("VAE", "evaluation_is_deterministic", "advice"),
    ("VAE", "predictions_follow_the_set", "advice"),
    ("VAE", "exports", "skipped"),
    ("dict batches", "runs_on_any_device", "passed"),
    ("dict batches", "predictions_follow_the_set", "passed"),
    ("dict batches", "arguments_are_saved", "advice"),
    ("batch class", "same_seed_same_batches", "passed"),
    ("batch class", "runs_on_any_device", "passed"),
    ("padded dataclass", "same_seed_same_batches", "passed"),
    ("GAN", "batch_fits_task", "passed"),
    ("GAN", "samples_are_independent", "skipped"),
    ("own loaders", "sets_are_disjoint", "passed"),
    ("language model", "metrics_ignore_batch_size", "advice"),
    ("language model", "layers_are_their_own", "passed"),
    ("language model", "targets_meet_their_outputs", "passed"),
    ("hidden teacher", "layers_are_registered", "passed"),
    ("gradient penalty", "layers_are_registered", "passed"),
    ("pictures and callbacks", "plateau_has_the_right_mode", "passed"),
    ("gradient accumulation", "schedule_counts_what_it_means", "passed"),
    ("fine-tuning", "schedule_counts_what_it_means", "passed"),
    ("fine-tuning", "modes_are_right", "passed"),
    ("Gaussian likelihood", "loss_starts_as_expected", "skipped"),
    ("denoising", "evaluation_data_stay", "advice"),
    ("denoising", "predictions_follow_the_set", "advice"),
    ("masked attention", "padding_changes_nothing", "passed"),
    ("mean of steps", "padding_changes_nothing", "passed"),
    ("padded dataclass", "padding_changes_nothing", "passed"),
    ("sorted, one batch", "training_is_shuffled", "passed"),
    ("missing values", "loss_is_finite", "passed"),
    ("centred inputs", "inputs_are_scaled_once", "passed"),
    ("weighted classes", "targets_meet_their_outputs", "passed"),
    ("mixup", "targets_meet_their_outputs", "skipped"),
    ("prices of houses", "overfits_one_batch", "advice"),
)
"""What each of these checks says of a task that it once called wrong."""


@pytest.mark.parametrize(("name", "check", "outcome"), QUICK)
def test_a_sound_task_is_not_called_wrong(name: str, check: str, outcome: str) -> None:
    result = run_check(check, Subject(*(SOUND | VARIANTS)[name]))
    assert result.outcome == outcome, result.message


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND | VARIANTS)
def test_a_sound_task_fails_no_check(name: str) -> None:
    subject = Subject(*(SOUND | VARIANTS)[name])
    results = [run_check(check, subject) for check in CHECKS]
    assert [result for result in results if result.outcome == "failed"] == []
    assert sum(result.outcome == "passed" for result in results) >= 10


class Unready(Classifier):
    """Its `forward` fails, which no check has to know of."""

    def forward(self, inputs: Tensor) -> Tensor:
        raise KeyError("no such column")


@pytest.mark.parametrize(
    ("check", "outcome", "message"),
    [
        ("batch_fits_task", "failed", "training fails at the first batches: KeyError: 'no such column'"),
        ("loss_is_finite", "skipped", "could not look: KeyError: 'no such column'"),
    ],
)
def test_an_error_is_a_verdict_of_the_first_step_alone(check: str, outcome: str, message: str) -> None:
    result = run_check(check, Subject(Unready, Points))
    assert (result.outcome, result.message) == (outcome, message)


def test_advice_is_a_failure_if_asked_for() -> None:
    subject = Subject(SOUND["dict batches"].task, SOUND["dict batches"].data)
    assert run_check("arguments_are_saved", subject).outcome == "advice"
    assert run_check("arguments_are_saved", subject, strict=True).outcome == "failed"
    assert run_check("arguments_are_saved", subject, "they are layers").outcome == "expected"


def test_a_task_without_loaders_has_nothing_to_train_with() -> None:
    result = run_check("loss_is_finite", Subject(LightningModule))
    assert result.outcome == "skipped"

"""The checks: functions that return if a task and its data are sound, each described by its first line."""

from collections.abc import Callable

from lightning_template.testing.checks import (
    data,
    evaluation,
    hardware,
    losses,
    metrics,
    persistence,
    prediction,
    training,
    wiring,
)
from lightning_template.testing.subject import Subject

Check = Callable[[Subject], None]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        training.batch_fits_task,
        training.loss_is_finite,
        losses.loss_starts_as_expected,
        training.every_parameter_gets_a_gradient,
        training.gradients_start_anew_each_step,
        training.optimizers_cover_parameters,
        training.overfits_one_batch,
        wiring.every_target_matters,
        wiring.steps_leave_the_seed,
        wiring.layers_are_made_once,
        wiring.plateau_has_the_right_mode,
        data.same_seed_same_batches,
        data.sets_are_disjoint,
        data.training_is_shuffled,
        data.evaluation_is_whole,
        evaluation.modes_are_right,
        evaluation.evaluation_changes_nothing,
        evaluation.evaluation_is_deterministic,
        evaluation.samples_are_independent,
        metrics.metrics_start_anew_each_epoch,
        metrics.metrics_agree_with_recomputation,
        metrics.metrics_ignore_batch_size,
        prediction.predictions_follow_the_set,
        persistence.same_seed_same_weights,
        persistence.arguments_are_saved,
        persistence.checkpoint_round_trip,
        persistence.resumes_exactly,
        persistence.exports,
        training.steps_per_execution_changes_nothing,
        hardware.runs_on_any_device,
        hardware.gpu_agrees_with_cpu,
        hardware.bfloat16_loss_is_finite,
        hardware.two_ranks_match_one,
    )
}
"""All checks by their names, in the order in which they run: what explains others comes first."""

ADVISORY = frozenset({"exports", "bfloat16_loss_is_finite", "two_ranks_match_one"})
"""Checks of what one device in single precision does not need: what they find is advice."""

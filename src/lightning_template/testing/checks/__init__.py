"""The checks: functions that return if a task and its data are sound, each described by its first line."""

from collections.abc import Callable

from lightning_template.testing.checks import (
    data,
    evaluation,
    gradients,
    hardware,
    inputs,
    labels,
    layers,
    losses,
    metrics,
    padding,
    persistence,
    prediction,
    randomness,
    schedules,
    targets,
    training,
    wiring,
)
from lightning_template.testing.subject import Subject

Check = Callable[[Subject], None]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        layers.layers_are_registered,
        training.batch_fits_task,
        training.loss_is_finite,
        losses.loss_starts_as_expected,
        training.every_parameter_gets_a_gradient,
        gradients.gradients_start_anew_each_step,
        gradients.optimizers_cover_parameters,
        training.overfits_one_batch,
        targets.every_target_matters,
        targets.targets_meet_their_outputs,
        targets.outputs_reach_targets,
        wiring.steps_leave_the_seed,
        wiring.steps_leave_their_batch,
        wiring.layers_are_made_once,
        layers.layers_are_their_own,
        layers.units_learn_different_things,
        schedules.plateau_has_the_right_mode,
        schedules.schedule_counts_what_it_means,
        data.same_seed_same_batches,
        data.sets_are_disjoint,
        data.training_is_shuffled,
        data.evaluation_is_whole,
        inputs.inputs_are_scaled_once,
        inputs.inputs_differ,
        inputs.inputs_do_not_hold_targets,
        inputs.sets_are_alike,
        labels.labels_mean_the_same,
        randomness.evaluation_data_stay,
        randomness.workers_draw_their_own,
        evaluation.evaluation_takes_batches,
        evaluation.modes_are_right,
        evaluation.evaluation_changes_nothing,
        evaluation.evaluation_is_deterministic,
        evaluation.samples_are_independent,
        padding.padding_changes_nothing,
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

STEP = ("training_step",)
EVALUATION = ("validation_step", "test_step")
OPTIMIZERS = ("configure_optimizers",)
LOADERS = ("train_dataloader", "setup")
EVALUATION_LOADERS = ("val_dataloader", "test_dataloader", "setup")
HOOKS: dict[str, tuple[str, ...]] = {
    "layers_are_registered": ("__init__",),
    "batch_fits_task": STEP,
    "loss_is_finite": STEP,
    "loss_starts_as_expected": STEP,
    "every_parameter_gets_a_gradient": ("forward", *STEP),
    "gradients_start_anew_each_step": STEP,
    "optimizers_cover_parameters": OPTIMIZERS,
    "overfits_one_batch": OPTIMIZERS,
    "every_target_matters": STEP,
    "targets_meet_their_outputs": STEP,
    "outputs_reach_targets": ("forward",),
    "steps_leave_the_seed": STEP,
    "steps_leave_their_batch": STEP,
    "layers_are_made_once": ("forward", *STEP),
    "layers_are_their_own": ("__init__",),
    "units_learn_different_things": ("__init__",),
    "plateau_has_the_right_mode": OPTIMIZERS,
    "schedule_counts_what_it_means": OPTIMIZERS,
    "same_seed_same_batches": LOADERS,
    "sets_are_disjoint": ("setup", *EVALUATION_LOADERS),
    "training_is_shuffled": LOADERS,
    "evaluation_is_whole": EVALUATION_LOADERS,
    "inputs_are_scaled_once": ("forward", *STEP),
    "inputs_differ": LOADERS,
    "inputs_do_not_hold_targets": ("setup", *LOADERS),
    "sets_are_alike": ("setup", *EVALUATION_LOADERS),
    "labels_mean_the_same": ("setup", *EVALUATION_LOADERS),
    "evaluation_data_stay": ("on_after_batch_transfer", *EVALUATION_LOADERS),
    "workers_draw_their_own": LOADERS,
    "modes_are_right": ("forward", *STEP),
    "evaluation_changes_nothing": EVALUATION,
    "evaluation_is_deterministic": ("forward", *EVALUATION),
    "samples_are_independent": ("forward",),
    "padding_changes_nothing": ("forward",),
    "metrics_start_anew_each_epoch": EVALUATION,
    "metrics_agree_with_recomputation": EVALUATION,
    "metrics_ignore_batch_size": EVALUATION,
    "predictions_follow_the_set": ("predict_step", "predict_dataloader"),
    "same_seed_same_weights": ("__init__",),
    "arguments_are_saved": ("__init__",),
    "checkpoint_round_trip": ("forward", "on_save_checkpoint"),
    "resumes_exactly": STEP,
    "exports": ("forward",),
    "steps_per_execution_changes_nothing": STEP,
    "runs_on_any_device": ("forward",),
    "bfloat16_loss_is_finite": STEP,
    "two_ranks_match_one": STEP,
}
"""Methods that a check looks at, the likeliest first: what it finds is in the user's file there."""

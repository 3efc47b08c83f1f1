"""Differences between a checkpoint's run and the configuration that resumes or evaluates it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from lightning_template.engine.runs.changes import changes, has_effect
from lightning_template.engine.runs.checkpoints import check_checkpoint

OPTIMIZER = "model.optimizer."

_logger = logging.getLogger("lightning_template")


def check_weights(checkpoint: Path, model: LightningModule, other_configuration: bool) -> None:
    """Check that a checkpoint can be loaded into a model.

    Args:
        checkpoint: Checkpoint file.
        model: Model with the architecture to load into.
        other_configuration: Whether the model is configured otherwise than by the checkpoint's run.

    Raises:
        ValueError: If it cannot.
    """
    try:
        check_checkpoint(checkpoint, model)
    except ValueError as error:
        if other_configuration:
            error.add_note("without --config, the configuration of its run is used")
        raise


def check_changes(before: Mapping[str, Any], after: Mapping[str, Any], is_fit: bool, allowed: bool) -> list[str]:
    """Tell what differs from the checkpoint's run.

    Args:
        before: Configuration of the run that the checkpoint is of.
        after: Configuration of this run.
        is_fit: Whether the run goes on, so that each difference may count; otherwise those of model and data do.
        allowed: Whether it may go on though it will end otherwise.

    Returns:
        The optimizer's options that differ and have to be set, which a checkpoint would restore; none but for `fit`.

    Raises:
        ValueError: If the run would end otherwise than the checkpoint's, and is not allowed to.
    """
    found = changes(before, after)
    for option, (old, new) in found.items():
        if is_fit or (has_effect(option) and option.startswith(("model", "data"))):
            _logger.info("changed: %s was %s and is %s", option, old, new)
    if not is_fit:
        return []
    with_effect = [option for option in found if has_effect(option)]
    if with_effect and not allowed:
        old, new = found[with_effect[0]]
        raise ValueError(
            f"`{with_effect[0]}` was {old} and is {new}, so the run would not end as it would have: "
            "add --allow_changes to go on all the same"
        )
    of_groups = [option.rpartition(".")[2] for option in found if option.startswith("model.optimizer_groups.")]
    return [option.removeprefix(OPTIMIZER) for option in found if option.startswith(OPTIMIZER)] + of_groups

"""Parameters that are trained, which callbacks that freeze and unfreeze parts change during a run.

Lightning's checkpoints do not hold which parameters require gradients, and its `BackboneFinetuning` would leave a
resumed run's backbone frozen. torch's schedules fail where a group was added to their optimizer.
"""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_template.engine.libraries.torch_private import extend_schedule


def dump_trained(module: LightningModule) -> dict[str, list[str]]:
    """Return the parameters that are frozen, and the layers that do not track statistics, by name."""
    return {
        "frozen": [name for name, parameter in module.named_parameters() if not parameter.requires_grad],
        "without_statistics": [name for name, part in module.named_modules() if _tracks(part) is False],
    }


def load_trained(module: LightningModule, saved: dict[str, list[str]]) -> None:
    """Freeze and unfreeze as in a checkpoint."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in saved["frozen"])
    for name, part in module.named_modules():
        if _tracks(part) is not None:
            vars(part)["track_running_stats"] = name not in saved["without_statistics"]


def extend_schedules(trainer: Trainer) -> None:
    """Let schedules go on where groups were added to their optimizers."""
    for config in trainer.lr_scheduler_configs:
        extend_schedule(config.scheduler)


def _tracks(part: Any) -> bool | None:
    return getattr(part, "track_running_stats", None)

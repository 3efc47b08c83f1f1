"""Trainers that print and write nothing."""

import tempfile
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import DummyLogger


def quiet_trainer(**options: Any) -> Trainer:
    """Return a Trainer on the CPU that prints and writes nothing."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": DummyLogger(),  # takes what a task hands to `self.logger.experiment`
        "log_every_n_steps": 1,  # Lightning warns of fewer steps than that
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": tempfile.gettempdir(),
        "plugins": LightningEnvironment(),  # a cluster's would start other processes
        "use_distributed_sampler": False,
    }
    return Trainer(**quiet | options)


def logged(trainer: Trainer) -> dict[str, float]:
    """Return the metrics of a trainer."""
    return {name: value.item() for name, value in trainer.callback_metrics.items()}

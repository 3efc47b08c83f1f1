"""Fits with the callbacks of every run, without the time that a command line takes."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_template.callbacks import BestAndLast, Dashboard, Figures, FiniteLoss, RunDirectory, StepMonitor
from lightning_template.engine.runs.checkpoints import WholeCheckpointIO


def observers() -> list[Callback]:
    return [Dashboard(), Figures(every_n_epochs=1, num_projected=5), StepMonitor()]


def fit(
    module: LightningModule,
    data: LightningDataModule,
    *callbacks: Callback,
    root: Path = Path(),
    keeper: BestAndLast | None = None,
    ckpt_path: Path | None = None,
    **options: Any,
) -> EventAccumulator:
    """Fit for two epochs, unless `options` say otherwise, and return what TensorBoard reads of it."""
    chosen: dict[str, Any] = {
        "max_epochs": 2,
        "log_every_n_steps": 1,
        "logger": False,
        "accelerator": "cpu",
        "enable_progress_bar": False,
    }
    trainer = Trainer(
        callbacks=[RunDirectory(root, "run", {}), FiniteLoss(), keeper or BestAndLast(every_minutes=None), *callbacks],
        plugins=[WholeCheckpointIO()],
        **chosen | options,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return read(root)


def read(root: Path = Path()) -> EventAccumulator:
    runs = sorted((root / "lightning_logs" / "run").glob("version_*"))
    events = EventAccumulator(str(runs[-1]), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    events.Reload()
    return events

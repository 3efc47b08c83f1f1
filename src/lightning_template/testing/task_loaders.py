"""Loaders that a task has itself, as a datamodule."""

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden


class TaskLoaders(LightningDataModule):
    """The loaders of a task that needs no datamodule.

    Args:
        task: The task.
    """

    def __init__(self, task: LightningModule) -> None:
        super().__init__()
        self.task = task
        for name in ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader"):
            if is_overridden(name, task):
                vars(self)[name] = getattr(task, name)

    def prepare_data(self) -> None:
        """Prepare the task's."""
        self.task.prepare_data()

    def setup(self, stage: str) -> None:
        """Set up the task's."""
        self.task.setup(stage)

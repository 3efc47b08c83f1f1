"""Samples from files in place of those that a data module serves for prediction."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_template.engine.batches import InputBatches


class FilesToPredict:
    """Makes a data module serve inputs from files for prediction, for the rest of its life.

    Its hooks are replaced on the instance: the class, the state and all other hooks that Lightning and callbacks see
    are still the data module's.

    Args:
        data: Data module with `file_reader`, `transform` and `eval_batch_size`, as `InMemoryDataModule` has; None if
            there is none.
        paths: Files or folders.
        invert: Whether to turn dark on light images into light on dark ones.

    Raises:
        ValueError: If the data module reads no files.
    """

    def __init__(self, data: LightningDataModule | None, paths: Sequence[str], invert: bool = False) -> None:
        reader = data.file_reader() if hasattr(data, "file_reader") else None
        if reader is None:
            name = "a module with its own loaders" if data is None else type(data).__name__
            raise ValueError(f"{name} predicts what they serve alone: `data` must define `file_reader` to take --input")
        self.files: list[str] | None = None
        """File of each sample, once they are read; None if they come from one file."""
        self.skipped: Sequence[str] = ()
        """Files that cannot be read."""
        self._data: Any = data
        self._reader, self._paths, self._invert = reader, paths, invert
        vars(data)["predict_dataloader"] = self.loader
        if not reader.needs_setup:  # the data may be missing on this machine
            vars(data).update(prepare_data=_nothing, setup=_nothing)

    def loader(self) -> DataLoader[Tensor]:
        """Read the files and return a loader of batches of their inputs."""
        inputs, self.files, self.skipped = self._reader.read(self._paths, self._invert)
        batches = InputBatches(inputs, self._data.transform, self._data.eval_batch_size)
        return DataLoader(batches, batch_size=None)


def _nothing(stage: str | None = None) -> None:
    """Replace a hook that has nothing to do."""

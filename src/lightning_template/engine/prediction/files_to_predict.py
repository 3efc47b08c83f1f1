"""Samples from Python or from files in place of those that a data module serves for prediction."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_template.engine.batches import InputBatches, Inputs, like_stored, tensor_of

BATCH_SIZE = 64
"""Number of samples in a batch where the data module does not say."""


class ObjectsToPredict:
    """Makes a data module serve inputs that Python holds for prediction, for the rest of its life.

    Its hooks are replaced on the instance: the class, the state and all other hooks that Lightning and callbacks see
    are still the data module's. `file_reader`, `transform` and `eval_batch_size` are what `InMemoryDataModule` has.
    Without a reader, inputs are arrays: like those that `load` returns, or else like those that its loaders serve.

    Args:
        data: Data module.
        given: Inputs.
        invert: Whether to turn dark on light images into light on dark ones.
    """

    def __init__(self, data: LightningDataModule, given: Any, invert: bool = False) -> None:
        self.files: list[str] | None = None
        """File of each sample, once they are read; None if they come from one file or none."""
        self.skipped: Sequence[str] = ()
        """Files that cannot be read."""
        self._data: Any = data
        self._reader: Any = data.file_reader() if hasattr(data, "file_reader") else None
        self._is_ours = hasattr(data, "file_reader")  # another's `transform` may be anything
        self._given, self._invert = given, invert
        vars(data)["predict_dataloader"] = self.loader
        if self._reader is not None and not self._reader.needs_setup:  # the data may be missing on this machine
            vars(data).update(prepare_data=_nothing, setup=_nothing)

    def loader(self) -> DataLoader[Tensor]:
        """Return a loader of batches of the inputs.

        Raises:
            ValueError: If they cannot be read, do not fit the data, or there are none.
        """
        inputs = self._inputs()
        if not len(inputs):
            raise ValueError("there are no inputs to predict")
        transform, size = (self._data.transform, self._data.eval_batch_size) if self._is_ours else (_same, BATCH_SIZE)
        return DataLoader(InputBatches(inputs, transform, size), batch_size=None)

    def _inputs(self) -> Inputs:
        if self._reader is not None:
            taken: Inputs = self._reader.take(self._given, self._invert).inputs
            return taken
        if self._invert:
            raise ValueError(f"`invert` is for images, and {type(self._data).__name__} has no `file_reader` for them")
        stored = self._data.train_set.inputs if self._is_ours else None
        return tensor_of(self._given) if stored is None else like_stored(tensor_of(self._given), stored)


class FilesToPredict(ObjectsToPredict):
    """The same for inputs from files or folders.

    Args:
        data: Data module; None if there is none.
        paths: Files or folders.
        invert: As above.

    Raises:
        ValueError: If the data module reads no files.
    """

    def __init__(self, data: LightningDataModule | None, paths: Sequence[str], invert: bool = False) -> None:
        if data is None or not hasattr(data, "file_reader") or data.file_reader() is None:
            name = "a module with its own loaders" if data is None else type(data).__name__
            raise ValueError(f"{name} predicts what they serve alone: `data` must define `file_reader` to take --input")
        super().__init__(data, paths, invert)

    def _inputs(self) -> Inputs:
        inputs: Inputs
        inputs, self.files, self.skipped = self._reader.read(self._given, self._invert)
        return inputs


def _same(inputs: Tensor) -> Tensor:
    return inputs


def _nothing(stage: str | None = None) -> None:
    """Replace a hook that has nothing to do."""

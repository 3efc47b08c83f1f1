"""Digests of a run's weights and data, by which its repetition is compared to the bit."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor
from torch.utils.data import TensorDataset

from lightning_template.engine.callbacks.data_digests import describe_data
from lightning_template.engine.callbacks.observer import Guard
from lightning_template.engine.callbacks.run_directory import RunDirectory
from lightning_template.engine.runs.digests import dump_json
from lightning_template.engine.runs.directories import read_json, update_json

FILE = "digests.json"
"""File of a run directory that holds the digests."""
MAX_HASHED_BYTES = 2**28
"""Bytes of samples in memory above which evenly spread ones are hashed: all would take more than a second."""


class Fingerprints(Callback):
    """Writes digests of the initial weights, the final weights and the data into `digests.json`.

    Files that the datamodule names in `data_digests` were hashed already. Otherwise the samples in memory are hashed,
    once. Data that are served one by one from anywhere have no digest. Sharded weights have none either.

    Args:
        directory: Callback that makes the run directory; it must come after this one.
        files: Its files, by name; `digests.json` is added.
    """

    def __init__(self, directory: RunDirectory, files: dict[str, str]) -> None:
        self.directory = directory
        self.files = files
        self._guard = Guard()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash data and initial weights; those of the beginning stay where a run goes on."""
        if not trainer.is_global_zero:
            return
        known = read_json(self.directory.run / FILE) if self.directory.run is not None else {}
        if not known:
            known = {"data": self._guard("a digest of the data", data_digest, trainer)}
            if trainer.ckpt_path is None:
                known["initial"] = self._weights(trainer, pl_module)
        self.files[FILE] = dump_json({**known, "final": None})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the final weights."""
        if trainer.is_global_zero and (run := self.directory.place()) is not None:
            final = {"final": self._weights(trainer, pl_module), "steps": trainer.global_step}
            self._guard(FILE, update_json, run / FILE, final)

    def _weights(self, trainer: Trainer, pl_module: LightningModule) -> str | None:
        if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
            return None
        return self._guard("digests of the weights", lambda: digest(pl_module.state_dict()))


def data_digest(trainer: Trainer) -> str | None:
    """Return a digest of the data of a fit; None if they are neither files that are named nor tensors in memory."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer's parts set it
    if named := describe_data(data):
        return hashlib.sha256("".join(f"{name} {named[name]['digest']}" for name in sorted(named)).encode()).hexdigest()
    dataset = getattr(trainer.train_dataloader, "dataset", None)
    part = getattr(data, "train_set", None)
    tensors: dict[str, Tensor] = {}
    if isinstance(getattr(part, "inputs", None), Tensor):
        tensors = {name: getattr(part, name) for name in ("inputs", "targets", "indices")}
    elif isinstance(dataset, TensorDataset):
        tensors = {str(number): tensor for number, tensor in enumerate(dataset.tensors)}
    return digest({name: _spread(tensor) for name, tensor in tensors.items()}) if tensors else None


def _spread(tensor: Tensor) -> Tensor:
    return tensor[:: max(1, -(-tensor.nbytes // MAX_HASHED_BYTES))]


def digest(tensors: Mapping[str, Any]) -> str:
    """Return a digest of tensors: of their names, shapes, dtypes and bytes.

    Example:
        >>> one, other = {"a": torch.zeros(2)}, {"a": torch.tensor([0.0, -0.0])}
        >>> digest(one) == digest(dict(one)), digest(one) == digest(other)
        (True, False)
    """
    found = hashlib.sha256()
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()

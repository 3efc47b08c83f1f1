"""Checkpoints: written whole, and checked before they are used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from lightning_template.engine.runs.digests import DamagedError, SealedArchive, check_archive
from lightning_template.engine.runs.files import make_folder, replacing


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints that are whole or absent: beside their place, with a digest, verified, and only then renamed.

    Lightning's own writes to the system's temporary folder, from where a move may be a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If it cannot be written, or is not what was written when it is read again. What lay at `path` is
                still there then.
        """
        if "://" in str(path):  # not a file of this machine
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        try:
            make_folder(path.parent)
            with replacing(path) as part:
                with SealedArchive(part) as file:
                    torch.save(checkpoint, file)
                    file.seal()
                check_archive(part)
        except (OSError, RuntimeError, DamagedError) as error:  # torch raises other errors for a full disk
            raise OSError(f"cannot write {path}: {' '.join(str(error).split())}") from error

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint.

        It was checked when the command line was read, seconds ago or, where a run is tested after its end, not at all.

        Raises:
            ValueError: If the file does not hold what was written.
        """
        if "://" not in str(path):
            check_archive(Path(path))
        loaded: dict[str, Any] = super().load_checkpoint(path, *args, **kwargs)
        return loaded


def check_checkpoint(path: Path, model: LightningModule) -> None:
    """Check that a checkpoint can be loaded into a model, before anything is written.

    Args:
        path: Checkpoint file, as `resolve_checkpoint` returned it.
        model: Model with the architecture to load into.

    Raises:
        ValueError: If the file is no checkpoint, or its weights have other names or shapes than the model's.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint that can be trusted: {' '.join(str(error).split())}") from error
    if _makes_layers_later(model):
        return
    saved, wanted = _shapes(weights), _shapes(model.state_dict())
    names = [name for name in [*wanted, *saved] if saved.get(name) != wanted.get(name)]
    if names and model.strict_loading:
        raise ValueError(
            f"{path} is of another architecture: {names[0]} has shape {saved.get(names[0], 'none')} in the checkpoint "
            f"and {wanted.get(names[0], 'none')} in the model ({len(names)} of {len(wanted)} weights differ)"
        )


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of weights, without the extra states of modules, which may be anything."""
    return {name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)}


def _makes_layers_later(model: LightningModule) -> bool:
    """Tell whether a module may make layers after its constructor, before Lightning loads the weights."""
    own_setup = next(cls for cls in type(model).__mro__ if "setup" in vars(cls))
    return is_overridden("configure_model", model) or not own_setup.__module__.startswith(
        ("lightning.", "lightning_template.")
    )

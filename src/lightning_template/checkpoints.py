"""What is asked of a checkpoint before it is used."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule


def check_checkpoint(path: Path, model: LightningModule) -> None:
    """Check that a checkpoint can be loaded into a model, before anything is written.

    Args:
        path: Checkpoint file.
        model: Model with the architecture to load into.

    Raises:
        ValueError: If the file is no checkpoint, or its weights have other names or shapes than the model's.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint that can be trusted: {' '.join(str(error).split())}") from error
    saved = {name: tuple(weight.shape) for name, weight in weights.items()}
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    names = [name for name in [*wanted, *saved] if saved.get(name) != wanted.get(name)]
    if names and model.strict_loading:
        raise ValueError(
            f"{path} is of another architecture: {names[0]} has shape {saved.get(names[0], 'none')} in the checkpoint "
            f"and {wanted.get(names[0], 'none')} in the model ({len(names)} of {len(wanted)} weights differ)"
        )

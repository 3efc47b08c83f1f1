"""Arrays in files, and a linear model for them."""

from pathlib import Path

import numpy as np
import torch

PLAIN_MLP = [
    "--model.network=lightning_template.networks.MLP",
    "--model.network.hidden_features=[]",
    "--model.optimizer=torch.optim.SGD",
    "--model.optimizer.lr=0.01",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=1",
    "--callbacks.figures=null",
]
"""One epoch of a linear model whose widths are still to be given."""


def arrays(num_samples: int = 30) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(num_samples)
    return {"inputs": generator.normal(5, 3, (num_samples, 2, 4)), "targets": np.arange(num_samples) % 3}


def write(path: Path, values: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **values)  # type: ignore[arg-type]  # its first keyword is a flag
    else:
        torch.save({name: torch.from_numpy(value) for name, value in values.items()}, path)
    return path

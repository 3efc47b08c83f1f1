"""Features of samples, in TensorBoard's Projector."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_template.engine.callbacks.observer import untouched
from lightning_template.engine.callbacks.tensorboard import experiments
from lightning_template.engine.dashboard.kinds import images_of, known_names, pair
from lightning_template.engine.nests import map_tensors


def project(trainer: Trainer, pl_module: LightningModule, num_samples: int) -> None:
    """Show the features of the first validation samples: the input of the network's last linear layer.

    Args:
        trainer: Trainer that has trained.
        pl_module: Module that it trained.
        num_samples: Largest number of samples.

    Raises:
        ValueError: If there is no linear layer, or a batch does not begin with inputs and targets.
    """
    last = next((module for module in reversed(list(pl_module.modules())) if isinstance(module, nn.Linear)), None)
    loaders = trainer.val_dataloaders
    features: list[Tensor] = []
    with untouched(pl_module):
        batch = next(iter(loaders[0] if isinstance(loaders, list) else loaders))  # type: ignore[arg-type]  # loaders, after training
        batch = map_tensors(lambda tensor: tensor.to(pl_module.device), batch)
        samples = pair(pl_module, batch)
        if last is None or samples is None or not _is_one_each(samples[1]):
            raise ValueError("there is no linear layer, or a sample has more than one target")
        inputs, targets = (part[:num_samples] if isinstance(part, Tensor) else part for part in samples)
        handle = last.register_forward_hook(lambda module, args, output: features.append(args[0].detach().cpu()))
        try:
            pl_module(inputs)
        finally:
            handle.remove()
    labels = targets.tolist()
    if not targets.is_floating_point():
        names = known_names(trainer)
        labels = [names[label] if 0 <= label < len(names) else label for label in labels]
    images = images_of(inputs, len(targets))
    if images is not None:
        low, high = images.aminmax()
        images = ((images - low) / (high - low)).cpu()
    for experiment in experiments(trainer):
        experiment.add_embedding(features[0].flatten(1)[: len(labels)], labels, images, trainer.global_step, "features")


def _is_one_each(targets: Any) -> bool:
    return isinstance(targets, Tensor) and (targets.is_floating_point() or targets.ndim == 1)

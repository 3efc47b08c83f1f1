"""Parts of a batch that anybody's `forward` takes."""

import inspect
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor


def forward_arguments(task: LightningModule, batch: Any) -> tuple[list[str], tuple[Any, ...]]:
    """Return the names of the arguments that `forward` needs, and the parts of a batch that are theirs.

    Those of its names are taken from a batch with names, and otherwise as many as it needs, from the first one on.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(task.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in kinds and p.default is p.empty] or ["input"]
    if isinstance(batch, Mapping) and set(names) <= set(batch):
        return names, tuple(batch[name] for name in names)
    if isinstance(batch, Tensor | Mapping) or not isinstance(batch, list | tuple):
        return names[:1], (batch,)
    return names[: len(batch)], tuple(batch[: len(names)])

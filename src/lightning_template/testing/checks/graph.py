"""The graph of a loss: functions from the loss back to the weights, by their names."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lightning_template.engine.libraries.torch_private import saved_tensor

SHAPES = ("View", "Squeeze", "Reshape", "Transpose", "Permute", "Slice", "Select", "Clone", "ToCopy", "Unsafe")
"""Words in names of functions that change a tensor's shape or type alone."""
COMPARE = ("MseLoss", "L1Loss", "SmoothL1Loss", "HuberLoss")
"""Losses of numbers."""


def nodes_of(loss: Tensor) -> Iterator[Any]:
    """Yield each function of a loss's graph once, the leaves among them."""
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
            yield node


def first_function(node: Any) -> str:
    """Return the name of the function whose result a function takes, without changes of shape between them."""
    following = next((part for part, _ in node.next_functions if part is not None), None)
    while following is not None and any(name in following.name() for name in SHAPES):
        following = following.next_functions[0][0]
    return following.name() if following is not None else ""


def compared_with(node: Any) -> Tensor | None:
    """Return the targets that a loss of numbers compares outputs with; None if the function is none."""
    return saved_tensor(node, "target") if node.name().startswith(COMPARE) else None

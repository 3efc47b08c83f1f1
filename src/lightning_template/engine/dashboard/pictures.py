"""Images with what is predicted of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lightning_template.engine.drawing import captioned_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def images(inputs: Tensor, predictions: Tensor, targets: Tensor | None, names: Sequence[str]) -> "Figure":
    """Draw images with their true class, if known, and the three most probable ones; those that are mistaken in red.

    Args:
        inputs: Images `(N, 1 or 3, height, width)`, in any range.
        predictions: Probabilities `(N, num_classes)`.
        targets: Class indices `(N,)`, if they are known.
        names: Name of each class.
    """
    top = predictions.topk(min(3, len(names)))
    captions = [
        [f"{names[index]} {value:.2f}" for value, index in zip(*sample, strict=True)]
        for sample in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]
    if targets is None:
        return captioned_images(inputs, captions, [False] * len(inputs))
    captions = [[f"true: {names[target]}", *lines] for target, lines in zip(targets.tolist(), captions, strict=True)]
    return captioned_images(inputs, captions, (top.indices[:, 0] != targets).tolist())


def log_drawing(writers: Sequence[Any], title: str, draw: Callable[[], Any], step: int) -> None:
    """Log a figure, or the number that is a curve's next value."""
    figure = draw()
    for writer in writers:
        if isinstance(figure, float):
            writer.add_scalar(title, figure, step)
        else:
            writer.add_figure(title, figure, step)

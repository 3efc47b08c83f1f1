"""Weights of classes that are not equally frequent."""

from torch import Tensor


def balanced_weights(targets: Tensor, num_classes: int) -> Tensor:
    """Return the weight of each class `(num_classes,)`, with which all classes count the same in sum.

    The weight is `N / (num_classes * count)`, as in scikit-learn, so the mean weight of a sample is 1.

    Args:
        targets: Class indices of the training samples, of any shape; negative ones are padding.
        num_classes: Number of classes.

    Raises:
        ValueError: If targets are no class indices, or a class has no sample.

    Example:
        >>> import torch
        >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.6667, 2.0000])
    """
    if targets.is_floating_point():
        raise ValueError(f"balanced weights need class indices as targets, got {targets.dtype}")
    classes = targets[targets >= 0].long()
    counts = classes.bincount(minlength=num_classes)
    if len(counts) > num_classes:
        raise ValueError(f"the data have {len(counts)} classes, and weights are balanced for {num_classes}")
    if not counts.all():
        raise ValueError(f"class {int(counts.argmin())} has no training sample, so its weight cannot be balanced")
    return (len(classes) / (num_classes * counts.double())).float()


def balanced_pos_weight(targets: Tensor) -> Tensor:
    """Return the weight of positive targets, with which they count as much as negative ones.

    Args:
        targets: Targets 0 and 1 of the training samples, `(N,)`, or `(N, num_labels)` for several labels.

    Returns:
        Number of negative targets for each positive one, `(1,)` or `(num_labels,)`.

    Raises:
        ValueError: If there are other targets, or a label has no positive one.
    """
    if not bool(((targets == 0) | (targets == 1)).all()):
        raise ValueError("a balanced `pos_weight` needs targets 0 and 1")
    labels = targets.reshape(len(targets), -1).double()
    positive = labels.sum(dim=0)
    if not positive.all():
        raise ValueError(f"label {int(positive.argmin())} has no positive training sample, so it cannot be balanced")
    return ((len(labels) - positive) / positive).float()

"""Precision of sums over an epoch."""

import torch


def sum_dtype() -> torch.dtype:
    """Return double precision; single on Apple's GPUs, which have no other.

    Single precision is off in the sixth digit after a thousand batches.
    """
    return torch.float32 if torch.backends.mps.is_available() else torch.float64

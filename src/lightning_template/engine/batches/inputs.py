"""Stored inputs: a tensor, or files that are read when a batch asks for them."""

from typing import Protocol

from torch import Tensor

CHUNK_BYTES = 2**24
"""Bytes of samples that a pass over all of them reads at once: a mapped file may be larger than memory."""


class Inputs(Protocol):
    """Stored inputs `(N, ...)`: a tensor, or an object that reads samples from files on demand."""

    @property
    def nbytes(self) -> int:
        """Size of all samples in bytes."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return the samples at indices `(num_indices,)` along dimension 0, on the device where they are stored."""


Samples = tuple[Inputs, Tensor]
"""Inputs `(N, ...)` and their targets `(N, ...)`."""

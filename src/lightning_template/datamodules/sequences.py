"""Sequences of unequal length with a label at each position, made on the spot."""

from typing import Any

import torch
from torch import Tensor

from lightning_template.datamodules.in_memory import InMemoryDataModule

PADDING, PERSON, PLACE, END = range(4)
"""Tokens that mean something: padding, the title before a person's or a place's name, what ends a name."""
NOT_COUNTED = -100
"""Label of padding, which `CrossEntropyLoss` leaves out if not told otherwise."""
MAX_NAME = 4


class SequencesDataModule(InMemoryDataModule):
    """Sequences of words, tokens `(max_length,)`, and for each word whether it is part of a name `(max_length,)`.

    A name is up to `MAX_NAME` words after the title of a person or of a place, and one word ends it. The words of
    names are those of other text, so only what is around a word tells its label. Shorter sequences are filled
    up with token 0, and the label -100.

    Args:
        num_samples: Number of sequences for training and validation; a quarter as many are for the test.
        num_tokens: Number of different tokens, at least 5; the first four mean something.
        min_length: Smallest number of words, at least 1.
        max_length: Largest number of words.

    Raises:
        ValueError: If an argument is out of its range.
    """

    class_names = ("other", "person", "place")
    num_classes = len(class_names)

    def __init__(
        self, num_samples: int = 2000, num_tokens: int = 50, min_length: int = 5, max_length: int = 40, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_samples < 4 or num_tokens < 5 or not 1 <= min_length <= max_length:
            raise ValueError(
                "`num_samples` must be at least 4, `num_tokens` at least 5 and `min_length` lie in [1, `max_length`], "
                f"got {num_samples}, {num_tokens} and [{min_length}, {max_length}]"
            )
        self.num_samples = num_samples
        self.num_tokens = num_tokens
        self.min_length = min_length
        self.max_length = max_length

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sequence."""
        return (self.max_length,)

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Make the sequences for training and for the test."""
        generator = torch.Generator().manual_seed(0)  # not `self.seed`: the data stay the same
        train, test = (self._samples(number, generator) for number in (self.num_samples, self.num_samples // 4))
        return train, test

    def _samples(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = (number, self.max_length)
        tokens = torch.randint(END, self.num_tokens, shape, generator=generator)
        labels = torch.zeros(shape, dtype=torch.long)
        starts = torch.rand(shape, generator=generator) < 0.1
        kinds = torch.randint(PERSON, PLACE + 1, shape, generator=generator)
        sizes = torch.randint(1, MAX_NAME + 1, shape, generator=generator)
        for row in range(number):
            free = 0
            for start in starts[row].nonzero().flatten().tolist():
                end = start + 1 + int(sizes[row, start])
                if start < free or end >= self.max_length:
                    continue
                name = slice(start + 1, end)
                tokens[row, start], tokens[row, end] = kinds[row, start], END
                tokens[row, name] = tokens[row, name].clamp(min=END + 1)
                labels[row, name] = kinds[row, start]
                free = end + 1
        lengths = torch.randint(self.min_length, self.max_length + 1, (number, 1), generator=generator)
        padding = torch.arange(self.max_length) >= lengths
        return tokens.masked_fill(padding, PADDING), labels.masked_fill(padding, NOT_COUNTED)

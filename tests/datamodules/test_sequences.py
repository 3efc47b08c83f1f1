"""Sequences: labels follow from the words around, and padding is marked in both."""

from typing import Any

import pytest

from lightning_template.datamodules import SequencesDataModule


def labels_by_rule(tokens: list[int]) -> list[int]:
    """Return the labels that follow from a sequence: a name goes from its title to the word that ends it."""
    labels, kind = [], 0
    for token in tokens:
        kind = 0 if token == 3 else kind
        labels.append(kind)
        kind = token if token in (1, 2) else kind
    return labels


def test_labels_follow_from_titles_and_ends() -> None:
    for tokens, labels in SequencesDataModule(num_samples=300, min_length=1).load():
        seen = set()
        for row, marks in zip(tokens.tolist(), labels.tolist(), strict=True):
            length = sum(token != 0 for token in row)
            assert 1 <= length <= 40
            assert row[length:] == [0] * (40 - length)
            assert marks[length:] == [-100] * (40 - length)
            assert marks[:length] == labels_by_rule(row[:length])
            seen |= {*marks[:length]}
        assert seen == {0, 1, 2}


def test_lengths_lie_where_asked_for() -> None:
    data = SequencesDataModule(num_samples=200, num_tokens=9, min_length=3, max_length=6)
    (tokens, _), (test_tokens, _) = data.load()
    assert (tokens.shape, test_tokens.shape) == ((200, 6), (50, 6))
    assert set((tokens != 0).sum(1).tolist()) == {3, 4, 5, 6}
    assert tokens.max() == 8
    assert (data.input_shape, data.num_classes) == ((6,), 3)


@pytest.mark.parametrize(
    "options", [{"num_samples": 1}, {"num_tokens": 4}, {"min_length": 0}, {"min_length": 9, "max_length": 8}]
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`num_samples` must be at least 4, `num_tokens` at least 5"):
        SequencesDataModule(**options)

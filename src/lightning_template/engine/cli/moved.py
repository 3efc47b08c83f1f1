"""Names that earlier versions had: a configuration that has one gets a line with the new name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MOVED_CLASSES = {"lightning_template.datamodules.augmentation.": "lightning_template.transforms."}
"""Beginnings of class paths that have moved, and what replaces them."""


def check_moved(values: Iterable[Any]) -> None:
    """Check that values of a configuration, and what they hold, name no class that has moved.

    Raises:
        ValueError: If one does.
    """
    for text in _texts(values):
        for old, new in MOVED_CLASSES.items():
            if text.startswith(old):
                raise ValueError(f"{text} has moved: write {new}{text.removeprefix(old)} in the configuration")


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)

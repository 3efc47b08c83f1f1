"""Roles of arrays, as their names and shapes tell: inputs or targets, of which part of the data."""

import math
import re
from typing import NamedTuple

from lightning_template.engine.files.array_file import ArrayFile

_WORDS = {
    "inputs": "x|xs|inputs?|data|images?|imgs?|features?|samples|signals?|sequences?",
    "targets": "y|ys|targets?|labels?|class|classes|outputs?",
}
"""Names that arrays of each role have."""

_PARTS = {"train": "train|training", "val": "val|valid|validation|dev", "test": "test|testing"}


class Roles(NamedTuple):
    """Names of the arrays of one part of the data.

    Attributes:
        inputs: Name of the inputs.
        targets: Name of the targets.
    """

    inputs: str
    targets: str


def find_roles(
    file: ArrayFile, train: tuple[str | None, str | None], test: tuple[str | None, str | None]
) -> dict[str, Roles]:
    """Return the roles of the arrays of each part, by `train`, `val` and `test`; the last two need not be there.

    Args:
        file: The arrays.
        train: Names of inputs and targets for training; None where names and shapes tell.
        test: Likewise for the test.

    Raises:
        ValueError: If they do not tell, or there is no array of a name.
    """
    given = {"train": train, "test": test}
    for name in (*train, *test):
        if name is not None:
            file.shape(name)
    if file.path.suffix == ".npy" and train[0] is None:
        given["train"] = file.path.stem, train[1]
    taken = {name for names in given.values() for name in names}
    pools: dict[str, list[str]] = {part: [] for part in _PARTS}
    for name in file.names:
        if name not in taken:
            pools[_part_and_role(name)[0]].append(name)
    found = {part: _choose(file, pool, *given.get(part, (None, None))) for part, pool in pools.items()}
    if found["train"] is None:
        raise ValueError(
            f"{file.path}: name the arrays of inputs and targets with `--data.inputs` and `--data.targets`; it has "
            + ", ".join(f"{name} {file.shape(name)}" for name in file.names)
        )
    return {part: roles for part, roles in found.items() if roles is not None}


def _choose(file: ArrayFile, names: list[str], inputs: str | None, targets: str | None) -> Roles | None:
    """Return the roles of the arrays of a part; None if that is not certain."""
    by_role = {role: [name for name in names if _part_and_role(name)[1] == role] for role in _WORDS}
    if inputs is None and len(by_role["inputs"]) == 1:
        inputs = by_role["inputs"][0]
    if targets is None and len(by_role["targets"]) == 1:
        targets = by_role["targets"][0]
    rest = [name for name in names if name not in (inputs, targets) and file.shape(name)]
    if inputs is None and targets is None and len(rest) == 2:
        targets, inputs = sorted(rest, key=lambda name: math.prod(file.shape(name)[1:]))
        small, large = (math.prod(file.shape(name)[1:]) for name in (targets, inputs))
        return Roles(inputs, targets) if small == 1 < large and _same_length(file, inputs, targets) else None
    if inputs is None and targets is not None:
        fitting = [name for name in rest if _same_length(file, name, targets)]
        inputs = fitting[0] if len(fitting) == 1 else None
    elif targets is None and inputs is not None:
        fitting = [name for name in rest if _same_length(file, name, inputs)]
        targets = fitting[0] if len(fitting) == 1 else None
    return Roles(inputs, targets) if inputs is not None and targets is not None else None


def _same_length(file: ArrayFile, name: str, other: str) -> bool:
    return file.shape(name)[:1] == file.shape(other)[:1]


def _part_and_role(name: str) -> tuple[str, str]:
    """Return which part of the data an array is of, `train` if it does not say, and its role, or nothing.

    Example:
        >>> _part_and_role("X_train"), _part_and_role("test_labels"), _part_and_role("values")
        (('train', 'inputs'), ('test', 'targets'), ('train', ''))
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = "|".join(_WORDS.values())
    for part, names in _PARTS.items():
        for pattern in (rf"(?:{names})[_\-. ](.+)", rf"(.+)[_\-. ](?:{names})", rf"(?:{names})({words})"):
            if match := re.fullmatch(pattern, name):
                return part, _role(match[1])
        if match := re.fullmatch(rf"({words})(?:{names})", name):
            return part, _role(match[1])
    return "train", _role(name)


def _role(name: str) -> str:
    return next((role for role, names in _WORDS.items() if re.fullmatch(names, name)), "")

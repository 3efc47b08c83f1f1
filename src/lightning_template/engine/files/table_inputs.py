"""Choice of the columns of a table that serve as inputs."""

import logging
from collections.abc import Sequence

from lightning_template.engine.files.table_file import TableFile

_logger = logging.getLogger(__name__)


def choose_inputs(file: TableFile, targets: Sequence[str]) -> list[str]:
    """Return all columns of numbers that are neither targets nor an index, and log which others there are.

    Args:
        file: Table.
        targets: Names of the columns to predict.

    Raises:
        ValueError: If there is no such column.
    """
    others = [name for name in file.names if name not in targets]
    indices = [name for name in others if file.is_index(name)]
    inputs = file.numbers_among([name for name in others if name not in indices])
    if not inputs:
        index = f", but an index of the rows, {indices[0]!r}: name it in `inputs` to use it" if indices else ""
        raise ValueError(f"{file.path} has no column of numbers beside {', '.join(targets)} to predict it from{index}")
    if indices:
        hint = "no input, as it is an index of the rows; to keep it, name all inputs in `inputs`"
        _logger.info("%s: column %s: %s", file.path, ", ".join(map(repr, indices)), hint)
    if left_out := [name for name in others if name not in {*inputs, *indices}]:
        _logger.info("%s: no inputs, as they are not numbers: %s", file.path, ", ".join(left_out))
    return inputs

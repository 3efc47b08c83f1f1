"""Tables on the terminal. Imports no torch."""

import io
from collections.abc import Sequence


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns as wide as their widest cell, two spaces apart, and never cut.

    Example:
        >>> print(table_text([["last", "train", "val"], ["loss", "0.5", ""]]), end="")
        last  train  val
        loss  0.5
    """
    from rich.cells import cell_len  # 40 ms
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*map(Text, row))
    width = sum(cell_len(cell) + 2 for row in rows for cell in row)  # wide enough that nothing is cut or wrapped
    output = io.StringIO()
    Console(file=output, width=width, color_system=None, legacy_windows=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())

"""Progress of a study on the terminal: a live table, or a line for each trial where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lightning_template.engine.process.errors import printable
from lightning_template.engine.sweep.results import Row, cells, rows_of, sorted_rows
from lightning_template.engine.sweep.study import SweepStudy

MOST_ROWS = 12
"""Number of trials that the live table shows: running ones, then the best."""


class Progress:
    """Shows how far a study is.

    Args:
        study: The study.
        output: Where to; a live table if that is a terminal.
    """

    def __init__(self, study: SweepStudy, output: TextIO) -> None:
        self.study = study
        self._output = output
        self._live: Live | None = None
        self._told = {row.number for row in rows_of(study) if row.state != "running"}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it until the end of the block."""
        if not self._output.isatty():
            yield
            return
        with Live(console=Console(file=self._output), auto_refresh=False, transient=True) as self._live:
            self.show()
            yield
        self._live = None

    def show(self) -> None:
        """Show what is new."""
        rows = rows_of(self.study)
        if self._live is not None:
            self._live.update(self._table(rows), refresh=True)
            return
        for row in rows:
            if row.state != "running" and row.number not in self._told:
                self._told.add(row.number)
                self._output.write(self._line(row))
                self._output.flush()

    def _line(self, row: Row) -> str:
        """Return the line of a trial that has ended."""
        head, values = cells([row], self.study.plan)
        done = f"trial {row.number} {row.state} ({len(self._told)} of {self.study.plan.num_trials})"
        last = row.error or values[-1]
        parts = [f"{name} {value}" for name, value in zip(head[2:-1], values[2:-1], strict=True) if value]
        return printable(": ".join([done, ", ".join([*parts, *([last] if last else [])])])) + "\n"

    def _table(self, rows: list[Row]) -> Table:
        plan = self.study.plan
        running = [row for row in rows if row.state == "running"]
        ended = sorted_rows([row for row in rows if row.state != "running"], plan)
        head, *lines = cells([*running, *ended][:MOST_ROWS], plan)
        failed = sum(row.state == "failed" for row in rows)
        title = f"{plan.name}: {len(ended)} of {plan.num_trials} trials" + (f", {failed} failed" if failed else "")
        table = Table(*(escape(printable(name)) for name in head), title=Text(printable(title)), box=None)
        for line in lines:
            table.add_row(*(Text(printable(cell)) for cell in line))
        return table

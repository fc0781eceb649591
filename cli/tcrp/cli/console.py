"""Output of tables and verdicts: with colours on a terminal, without in a pipe."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 10_000  # rows in a pipe are not wrapped


def console_for(stream: str = "stdout") -> Console:
    """A console on stdout or stderr: colours only on a terminal without NO_COLOR, no line wrap in a pipe."""
    file = sys.stdout if stream == "stdout" else sys.stderr
    if file.isatty():
        return Console(file=file, highlight=False)
    return Console(file=file, highlight=False, width=PIPE_COLUMNS, color_system=None, soft_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table; in a pipe without the trailing blanks of its last column."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")

"""Where tables and verdicts go: to a screen with colours, to a pipe without."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 10_000  # rows for programs are not wrapped


def console_for(stream: str = "stdout") -> Console:
    """A console on stdout or stderr: colours only on a screen without NO_COLOR, and no pipe is cut at 80 columns."""
    file = sys.stdout if stream == "stdout" else sys.stderr
    if file.isatty():
        return Console(file=file, highlight=False)
    return Console(file=file, highlight=False, width=PIPE_COLUMNS, color_system=None, soft_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table; for a pipe without the blanks that would fill its last column."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")

"""Output of tables and verdicts: with colours on a terminal, without in a pipe."""

from __future__ import annotations

import errno
import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from tcrp.cli.output import SIGNS, shows_signs

PIPE_COLUMNS = 10_000  # rows in a pipe are not wrapped
# Colours of the 256 that have a contrast of at least 4 with black and with white. The 16 colours of a terminal's own
# palette do not: its yellow is not seen on white. Keys are the styles that the programs use.
COLOURS = {"red": 196, "green": 28, "yellow": 130, "cyan": 30, "magenta": 164, "blue": 63, "dim": 243}
THEME = Theme({
    **{name: f"color({number})" for name, number in COLOURS.items()},
    **{f"bold {name}": f"bold color({number})" for name, number in COLOURS.items()},
    "italic green": f"italic color({COLOURS['green']})",
})  # fmt: skip


class PlainConsole(Console):
    """A console that leaves the end of a pipe to the program; rich's own ends it with exit code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console_for(stream: str = "stdout") -> Console:
    """A console on stdout or stderr: colours on a terminal or with FORCE_COLOR, not with NO_COLOR; no line wrap in a
    pipe.
    """
    file = sys.stdout if stream == "stdout" else sys.stderr
    if file.isatty():
        return PlainConsole(file=file, highlight=False, theme=THEME)
    is_coloured = os.environ.get("FORCE_COLOR", "") not in ("", "0") and not os.environ.get("NO_COLOR")
    return PlainConsole(
        file=file, highlight=False, width=PIPE_COLUMNS, soft_wrap=True, theme=THEME, force_terminal=is_coloured,
        color_system="256" if is_coloured else None,
    )  # fmt: skip


def print_table(console: Console, table: Table) -> None:
    """Print a table; in a pipe without the trailing blanks of its last column."""
    if is_screen(console):
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def is_screen(console: Console) -> bool:
    """Whether somebody looks at it through a window of so many columns. A pipe with FORCE_COLOR is none."""
    return console.is_terminal and console.width != PIPE_COLUMNS


def fitted(text: Text, console: Console) -> Text:
    """`text` with every sign in ASCII, if the console's encoding lacks one: columns stay straight."""
    if shows_signs(getattr(console.file, "encoding", None) or "utf-8"):
        return text
    for sign, plain in SIGNS.items():
        if sign in text.plain:
            text = Text(plain).join(text.split(sign, include_separator=False, allow_blank=True))
    return text

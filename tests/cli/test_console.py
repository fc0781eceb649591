"""Where tables and verdicts go: colours for a screen, whole plain lines for a pipe."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from rich.color import Color
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcrp.cli import console as console_module
from tcrp.cli.console import COLOURS, PIPE_COLUMNS, console_for, print_table


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(console_module, "sys", SimpleNamespace(stdout=screen))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return screen


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    pipe = io.StringIO()
    monkeypatch.setattr(console_module, "sys", SimpleNamespace(stdout=pipe))
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return pipe


def a_table(text: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("a", text)
    table.add_row("b", "x")
    return table


def test_a_screen_has_colours_and_its_own_width(screen: Screen) -> None:
    console = console_for()
    assert console.is_terminal is True
    assert console.width == 40
    console.print(Text("red", style="red"))
    assert f"\x1b[38;5;{COLOURS['red']}mred" in screen.getvalue()


def test_no_color_is_heeded(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console_for().print(Text("red", style="red"))
    assert screen.getvalue() == "red\n"


def test_force_color_colours_a_pipe_and_changes_nothing_else(
    pipe: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value, is_coloured in (("FORCE_COLOR", "0", False), ("FORCE_COLOR", "1", True), ("NO_COLOR", "1", False)):
        monkeypatch.setenv(name, value)
        pipe.truncate(pipe.seek(0))
        console = console_for()
        table = a_table("y" * 300)
        table.add_row(Text("c", "red"), "z")
        print_table(console, table)
        assert ("\x1b" in pipe.getvalue()) is is_coloured
        assert re.sub(r"\x1b\[[0-9;]*m", "", pipe.getvalue()) == f"a  {'y' * 300}\nb  x\nc  z\n"


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_is_legible_on_black_and_on_white(name: str) -> None:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, Color.from_ansi(COLOURS[name]).get_truecolor())
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG 2.1
    assert 1.05 / (luminance + 0.05) >= 3.99
    assert (luminance + 0.05) / 0.05 >= 3.99


def test_a_pipe_has_no_colours_and_cuts_no_line(pipe: io.StringIO) -> None:
    console = console_for()
    assert console.width == PIPE_COLUMNS
    console.print(Text("x" * 500, style="red"))
    console.print("numbers 1 2 3 and 'words'")
    assert pipe.getvalue() == "x" * 500 + "\nnumbers 1 2 3 and 'words'\n"


def test_what_is_said_on_stderr_goes_there(monkeypatch: pytest.MonkeyPatch, pipe: io.StringIO) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(console_module, "sys", SimpleNamespace(stdout=pipe, stderr=errors))
    console_for("stderr").print("wrong")
    assert (errors.getvalue(), pipe.getvalue()) == ("wrong\n", "")


def test_a_table_for_a_pipe_has_no_blanks_at_the_ends_of_lines(pipe: io.StringIO) -> None:
    print_table(console_for(), a_table("y" * 300))
    assert pipe.getvalue() == "a  " + "y" * 300 + "\nb  x\n"


def test_a_table_for_a_screen_is_folded_to_its_width(screen: Screen) -> None:
    console = console_for()
    print_table(console, a_table("y" * 60))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert isinstance(console, Console)

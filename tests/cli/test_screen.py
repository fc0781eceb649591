"""What a chat looks like on a terminal of so many columns: wide letters, long names, colours, what is completed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Callable, Iterator

import pyte
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.utils import get_cwidth

from tcrp.cli.screen import COLOURS, TEXT_COLUMNS_MIN, Terminal, Words, colour_of, fitted, wrapped

LINES = 12
Window = Callable[[int], "Drawn"]


class Drawn:
    """A terminal whose program is this process."""

    def __init__(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
        self._files = [os.fdopen(slave, "r"), os.fdopen(os.dup(slave), "w")]
        monkeypatch.setattr(sys, "stdin", self._files[0])
        monkeypatch.setattr(sys, "stdout", self._files[1])
        monkeypatch.setenv("TERM", "xterm-256color")
        self._screen = pyte.Screen(columns, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self.terminal = Terminal()

    def shown(self) -> list[str]:
        """What stands on the screen, without the clock; the second cell of a wide letter is empty."""
        sys.stdout.flush()
        while select.select([self._master], [], [], 0.01)[0]:
            self._stream.feed(os.read(self._master, 65536))
        lines = [line.rstrip() for line in self._screen.display if line.strip()]
        return [" " * 5 + line[5:] if line[2] == ":" else line for line in lines]

    def close(self) -> None:
        for file in self._files:
            file.close()
        os.close(self._master)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    windows: list[Drawn] = []

    def open_one(columns: int) -> Drawn:
        windows.append(Drawn(columns, monkeypatch))
        return windows[-1]

    yield open_one
    for each in windows:
        each.close()


def lines_of(text: str, columns: int) -> list[str]:
    return ["".join(piece for _, piece in line) for line in wrapped([("", text)], columns)]


# --- lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("x" * 20, ["x" * 20]),
        ("x" * 21, ["x" * 20, "x"]),
        ("あ" * 10, ["あ" * 10]),
        ("あ" * 11, ["あ" * 10, "あ"]),
        ("a" + "あ" * 10, ["a" + "あ" * 9, "あ"]),  # the last cell stays empty: half a letter does not stand there
        ("0123456789 0123456789", ["0123456789", "0123456789"]),
        ("0123456789 012345678 and", ["0123456789 012345678", "and"]),  # the blank at the end needs no cell
        ("word " + "y" * 30, ["word", "y" * 20, "y" * 10]),
        ("0123456789 words日本語", ["0123456789 words日本", "語"]),
    ],
)
def test_lines_end_at_blanks_and_beside_wide_letters(text: str, lines: list[str]) -> None:
    assert lines_of(text, 20) == lines


@pytest.mark.parametrize("mark", ["\u3099", "\ufe0f", "\U000e0100"])
def test_a_mark_stays_with_the_letter_that_it_belongs_to(mark: str) -> None:
    """A dakuten, a variation selector: they take no cell, and make no sense at the beginning of a line."""
    letter = "葛" + mark
    assert lines_of(letter * 11, 20) == [letter * 10, letter]
    assert lines_of(letter * 9 + "abc", 20) == [letter * 9, "abc"]


@pytest.mark.parametrize("columns", range(TEXT_COLUMNS_MIN, 45))
def test_no_line_is_wider_than_its_column_and_no_letter_is_lost(columns: int) -> None:
    text = "Grüße aus 東京、ここは にほんご と English が混ざります " + "w" * 50 + " 終わり🎉 ok  two"
    lines = lines_of(text, columns)
    assert max(map(get_cwidth, lines)) <= columns
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_column_that_is_too_narrow_is_left_to_the_terminal() -> None:
    assert lines_of("あ" * 60, TEXT_COLUMNS_MIN - 1) == ["あ" * 60]
    assert len(lines_of("あ" * 60, TEXT_COLUMNS_MIN)) == 6


def test_a_mention_keeps_its_style_where_a_line_ends_inside_it() -> None:
    found = wrapped([("", "x" * 18), ("bold", "abcd"), ("", "!")], 20)
    assert found == [[("", "x" * 18), ("bold", "ab")], [("bold", "cd"), ("", "!")]]


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("x" * 16, "x" * 16),
        ("x" * 17, "x" * 15 + "…"),
        ("あ" * 8, "あ" * 8),
        ("あ" * 9, "あ" * 7 + "…"),
        ("a" + "あ" * 8, "a" + "あ" * 7 + "…"),
    ],
)
def test_a_name_takes_sixteen_columns_at_most(name: str, shown: str) -> None:
    assert fitted(name, 16) == shown
    assert get_cwidth(shown) <= 16


def test_a_name_has_one_colour_and_names_have_several() -> None:
    assert colour_of("あき") == colour_of("あき")
    assert {colour_of(f"user{number}") for number in range(200)} == set(COLOURS)


# --- a terminal of so many columns -------------------------------------------------------------------


def test_in_forty_columns_texts_stand_below_each_other(window: Window) -> None:
    drawn = window(40)
    drawn.terminal.text("bob", "the quick brown fox jumps over the lazy dog")
    drawn.terminal.text("あき", "吾輩は猫である。名前はまだ無い。どこで")
    shown = drawn.shown()
    assert shown == [
        "         bob the quick brown fox jumps",
        "             over the lazy dog",
        "        あき 吾輩は猫である。名前はまだ",
        "             無い。どこで",
    ]


def test_a_long_name_leaves_a_narrow_terminal_to_break_lines_itself(window: Window) -> None:
    drawn = window(40)
    drawn.terminal.text("n" * 30, "a" * 40)
    assert "".join(drawn.shown()).replace(" ", "") == "n" * 15 + "…" + "a" * 40


def test_texts_stay_in_line_once_a_longer_name_has_come(window: Window) -> None:
    drawn = window(100)
    drawn.terminal.text("bob", "one")
    drawn.terminal.text("ボブさんです", "two")
    drawn.terminal.text("bob", "three")
    drawn.terminal.note("four")
    columns = [get_cwidth(line) - len(line.split()[-1]) for line in drawn.shown()]
    assert columns == [13, 19, 19, 19]


# --- completion --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("b", ["bob: "]),
        ("B", ["bob: "]),
        ("hi b", ["bob"]),
        ("/w", ["/who"]),
        ("say /w", []),
        ("", []),
        ("hi ", []),
        ("ボ", ["ボブ: "]),
        ("x", []),
    ],
)
def test_names_are_completed_anywhere_and_commands_at_the_beginning(typed: str, completed: list[str]) -> None:
    words = Words()
    assert list(words.get_completions(Document(typed), CompleteEvent())) == []  # none are known yet
    words.words = lambda: ["/who", "bob", "ボブ"]
    assert [each.text for each in words.get_completions(Document(typed), CompleteEvent())] == completed

"""Standard input as lines: where they end, which are passed over, and how much is read ahead."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processes import PATIENCE
from tcrp.cli.plain import CHUNK, LINE_BYTES_MAX, LINES_AHEAD_MAX, Plain
from tcrp.cli.screen import Closed

LINE = b"y" * 999 + b"\n"
Said = pytest.CaptureFixture[str]
Feed = Callable[[bytes], None]


class File:
    """A standard input with this number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes the file with this number the standard input."""
    numbers: list[int] = []

    def become(number: int) -> None:
        numbers.append(number)
        monkeypatch.setattr(sys, "stdin", File(number))

    yield become
    for number in numbers:
        os.close(number)


@pytest.fixture
def feed(tmp_path: Path, stdin: Callable[[int], None]) -> Feed:
    """Makes these bytes the standard input."""

    def make(data: bytes) -> None:
        (tmp_path / "input").write_bytes(data)
        stdin(os.open(tmp_path / "input", os.O_RDONLY))

    return make


def lines_of_input() -> list[str]:
    async def read() -> list[str]:
        plain, lines = Plain(), []
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    lines.append(await plain.line())
            except Closed:
                with pytest.raises(Closed):  # and so it stays
                    await plain.line()
                return lines

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\r\ntwo\n\nthree", ["one", "two", "", "three"]),
        (b"a\rb\n", ["a\rb"]),
        ("日本語\n".encode() * 3, ["日本語"] * 3),
        (b"x\n" + b"x" * (CHUNK - 3) + "語\n".encode(), ["x", "x" * (CHUNK - 3) + "語"]),  # over the end of a read
    ],
)
def test_a_line_is_what_stands_before_a_newline_or_the_end(data: bytes, lines: list[str], feed: Feed) -> None:
    feed(data)
    assert lines_of_input() == lines


@pytest.mark.parametrize("ending", [b"", b"\n", b"x" * (2 * CHUNK - LINE_BYTES_MAX - 2), b"x" * 3 * CHUNK + b"\n"])
def test_a_line_of_the_greatest_length_is_taken_and_a_longer_one_is_said_not_to_be_sent(
    ending: bytes, feed: Feed, capsys: Said
) -> None:
    feed(b"x" * LINE_BYTES_MAX + b"\n" + b"y" * (LINE_BYTES_MAX + 1) + ending + b"\nlast")
    assert [line[:4] for line in lines_of_input() if line] == ["xxxx", "last"]
    assert capsys.readouterr().err == "! Too long for one message; nothing was sent.\n"


def test_a_line_that_is_not_utf8_is_said_not_to_be_sent_and_the_next_is_taken(feed: Feed, capsys: Said) -> None:
    feed(b"\xff\nnext\n")
    assert lines_of_input() == ["next"]
    assert capsys.readouterr().err == "! A line was not valid UTF-8 and was not sent.\n"


def test_input_that_never_ends_is_read_only_as_far_as_it_is_sent(stdin: Callable[[int], None]) -> None:
    read, write = os.pipe()
    stdin(read)
    written = 0

    def write_on() -> None:
        nonlocal written
        try:
            while True:
                written += os.write(write, LINE * 100)
        except OSError:  # nobody reads any more
            os.close(write)

    async def take_some() -> None:
        plain = Plain()
        writer.start()
        assert [await plain.line() for _ in range(10)] == [LINE.decode().strip()] * 10
        await asyncio.sleep(0.3)
        # What waits to be sent, what was just read, and what the pipe holds.
        assert written <= len(LINE) * LINES_AHEAD_MAX + 4 * CHUNK

    writer = threading.Thread(target=write_on, daemon=True)
    asyncio.run(take_some())


def test_closed_or_unreadable_input_is_at_its_end(
    monkeypatch: pytest.MonkeyPatch, stdin: Callable[[int], None], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it where file 0 is closed
    assert lines_of_input() == []
    stdin(os.open(tmp_path, os.O_RDONLY))
    assert lines_of_input() == []


def test_texts_go_to_standard_output_and_all_else_to_standard_error(feed: Feed, capsys: Said) -> None:
    feed(b" yes \n")

    async def show() -> None:
        plain = Plain()
        plain.text("あき", "hi", (0, 2))
        plain.own("bob", "not shown")
        plain.note("joined")
        plain.warn("careful")
        assert await plain.ask("Really?") == "yes"

    asyncio.run(show())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("あき: hi\n", "* joined\n! careful\nReally?\n")


def test_an_answer_that_does_not_come_in_time_is_not_waited_for(stdin: Callable[[int], None]) -> None:
    read, write = os.pipe()
    stdin(read)

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await Plain().ask("Still there?", within=0.01)

    asyncio.run(ask())
    os.close(write)

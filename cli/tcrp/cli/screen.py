"""Input and output of the client: a terminal on which arriving texts do not break the line being typed."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol
from zlib import crc32

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.utils import get_cwidth

NAME_COLUMNS_MIN, NAME_COLUMNS_MAX = 6, 16
COLOURS = (
    "ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan",
    "ansibrightred", "ansibrightgreen", "ansibrightyellow", "ansibrightblue", "ansibrightmagenta", "ansibrightcyan",
)  # fmt: skip


class Closed(Exception):
    """The input has ended. `is_interrupt`: by Ctrl-C."""

    def __init__(self, *, is_interrupt: bool = False) -> None:
        super().__init__()
        self.is_interrupt = is_interrupt


class Screen(Protocol):
    """Input and output of a chat. Texts are already free of control characters (R-SHOW-1)."""

    can_offer: bool
    """Whether there is a user who can be asked what to do next."""

    async def ask(self, question: str, *, hidden: bool = False) -> str:
        """The user's answer, stripped of blanks. Raises `Closed`."""

    async def line(self) -> str:
        """The next line that the user types. Raises `Closed`."""

    async def rest(self) -> None:
        """Stop reading lines until the next `line()`."""

    def own(self, name: str, text: str) -> None:
        """Show a text that the user has sent."""

    def text(self, name: str, text: str) -> None:
        """Show a text of another member."""

    def note(self, text: str) -> None:
        """Show a piece of information."""

    def warn(self, text: str) -> None:
        """Show a warning."""


class Terminal:
    """A terminal with an input line at the bottom, and a history of typed lines."""

    can_offer = True

    def __init__(self) -> None:
        self._typing: PromptSession[str] = PromptSession(history=InMemoryHistory(), erase_when_done=True)
        self._asking: PromptSession[str] = PromptSession()
        self._name_columns = NAME_COLUMNS_MIN
        # Reads ahead: otherwise keys pressed while a text waits to be sent would be echoed into the output.
        self._reading: asyncio.Task[None] | None = None
        self._lines: asyncio.Queue[str | Closed] = asyncio.Queue()

    async def ask(self, question: str, *, hidden: bool = False) -> str:
        return (await self._read(self._asking, f"{question} ", hidden=hidden)).strip()

    async def line(self) -> str:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_lines())
        line = await self._lines.get()
        if isinstance(line, Closed):
            raise line
        return line

    async def rest(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self._lines = asyncio.Queue()

    async def _read_lines(self) -> None:
        try:
            while True:
                self._lines.put_nowait(await self._read(self._typing, "> "))
        except Closed as closed:
            self._lines.put_nowait(closed)

    @staticmethod
    async def _read(session: PromptSession[str], prompt: str, *, hidden: bool = False) -> str:
        try:
            return await session.prompt_async(prompt, is_password=hidden)
        except EOFError:
            raise Closed from None
        except KeyboardInterrupt:
            raise Closed(is_interrupt=True) from None

    def own(self, name: str, text: str) -> None:
        self._print(name, "bold", text)

    def text(self, name: str, text: str) -> None:
        self._print(name, colour_of(name), text)

    def note(self, text: str) -> None:
        self._show([("ansibrightblack", f"{_now()} {' ' * self._name_columns} {text}")])

    def warn(self, text: str) -> None:
        self._show([("ansibrightblack", f"{_now()} "), ("ansiyellow", f"{' ' * self._name_columns} {text}")])

    def _print(self, name: str, style: str, text: str) -> None:
        name = fitted(name, NAME_COLUMNS_MAX)
        self._name_columns = max(self._name_columns, get_cwidth(name))
        blanks = " " * (self._name_columns - get_cwidth(name))
        self._show([("ansibrightblack", f"{_now()} "), (style, blanks + name), ("", f" {text}")])

    @staticmethod
    def _show(fragments: StyleAndTextTuples) -> None:
        print_formatted_text(_formatted(fragments))


def _formatted(fragments: StyleAndTextTuples) -> StyleAndTextTuples:
    from prompt_toolkit.formatted_text import FormattedText

    return FormattedText(fragments)


def _now() -> str:
    return time.strftime("%H:%M")


def colour_of(name: str) -> str:
    """The colour of a name: always the same one, on every machine."""
    return COLOURS[crc32(name.encode()) % len(COLOURS)]


def fitted(name: str, columns: int) -> str:
    """`name` cut to this many columns; wide characters take two."""
    if get_cwidth(name) <= columns:
        return name
    kept = ""
    for character in name:
        if get_cwidth(kept + character) > columns - 1:
            break
        kept += character
    return kept + "…"

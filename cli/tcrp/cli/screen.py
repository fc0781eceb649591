"""Input and output of the client: a terminal on which arriving texts do not break the line being typed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from types import FrameType
from typing import Protocol
from zlib import crc32

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import default_ui_style
from prompt_toolkit.utils import get_cwidth

from tcrp.cli.i18n import _

NAME_COLUMNS_MIN, NAME_COLUMNS_MAX = 6, 16
TEXT_COLUMNS_MIN = 20
"""In a narrower column texts are not wrapped at blanks: the terminal breaks its lines where they end."""
COLOURS = (
    "ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan",
    "ansibrightred", "ansibrightgreen", "ansibrightyellow", "ansibrightblue", "ansibrightmagenta", "ansibrightcyan",
)  # fmt: skip


FOCUS_EVENTS_ON, FOCUS_EVENTS_OFF = "\x1b[?1004h", "\x1b[?1004l"
# A terminal's window tells of focus by these. prompt_toolkit has no names for them, so they get those of two keys
# that no keyboard has.
FOCUS_GAINED, FOCUS_LOST = Keys.F23, Keys.F24
ANSI_SEQUENCES["\x1b[I"], ANSI_SEQUENCES["\x1b[O"] = FOCUS_GAINED, FOCUS_LOST


class Closed(Exception):
    """The input has ended. `is_interrupt`: by Ctrl-C."""

    def __init__(self, *, is_interrupt: bool = False) -> None:
        super().__init__()
        self.is_interrupt = is_interrupt


class Screen(Protocol):
    """Input and output of a chat. Texts are already free of control characters (R-SHOW-1)."""

    can_offer: bool
    """Whether there is a user who can be asked what to do next."""

    async def ask(self, question: str, *, hidden: bool = False, within: float | None = None) -> str:
        """The user's answer, stripped of blanks. Raises `Closed`, or `TimeoutError` if none comes `within` seconds.

        A question `within` a time interrupts the user, so what was being typed stays there, to be gone on with.
        """

    async def line(self) -> str:
        """The next line that the user types; a paste may have several, with line ends between. Raises `Closed`.

        More may be asked for after `Closed`, where there is a user who may have meant something else.
        """

    def completes(self, words: Callable[[], Sequence[str]]) -> None:
        """Complete these words, where a screen can: commands, which begin with a slash, and names."""

    async def rest(self) -> list[str]:
        """Stop reading lines until the next `line()`, which begins with what is being typed now.

        Returns the lines that were typed and not read yet.
        """

    def own(self, name: str, text: str) -> None:
        """Show a text that the user has sent."""

    def text(self, name: str, text: str, mention: tuple[int, int] | None = None) -> None:
        """Show a text of another member, which mentions the user from and to these places."""

    def note(self, text: str) -> None:
        """Show a piece of information."""

    def warn(self, text: str) -> None:
        """Show a warning."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class Terminal:
    """A terminal with an input line at the bottom, and a history of typed lines.

    What is shown is written above the line being typed without leaving the terminal's raw mode, so that
    no key is lost. What arrives while the window has no focus stands below a mark.
    """

    can_offer = True

    def __init__(self, *, colours: bool = True, bell: bool = True) -> None:
        self._bell = bell
        self._words = Words()
        self._modes = termios.tcgetattr(sys.stdin)
        self._stops = signal.getsignal(signal.SIGTSTP)
        depth = None if colours else ColorDepth.DEPTH_1_BIT
        # Does not ask the terminal where its cursor is: the answer would be old once a text was shown.
        output = Vt100_Output.from_pty(sys.stdout, term=os.environ.get("TERM"))
        output.enable_cpr = False
        self._typing: PromptSession[str] = PromptSession(
            output=output, history=InMemoryHistory(), erase_when_done=True, enable_suspend=True, color_depth=depth,
            completer=self._words, complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE, reserve_space_for_menu=0, key_bindings=self._keys(),
        )  # fmt: skip
        self._asking: PromptSession[str] = PromptSession(output=output, enable_suspend=True, color_depth=depth)
        self._name_columns = NAME_COLUMNS_MIN
        # Reads ahead: otherwise keys pressed while a text waits to be sent would be echoed into the output.
        self._reading: asyncio.Task[None] | None = None
        self._lines: asyncio.Queue[str | Closed] = asyncio.Queue()
        self._draft = ""  # what was being typed when reading ended
        self._has_focus = True
        self._is_marked = False  # what came without focus stands below a mark
        self._hold()

    def _hold(self) -> None:
        """Take the terminal over, between two prompts too: it would echo what is typed ahead, and take Ctrl-D."""
        between = [*self._modes[:3], self._modes[3] & ~(termios.ECHO | termios.ICANON), *self._modes[4:]]
        termios.tcsetattr(sys.stdin, termios.TCSANOW, between)
        if self._stops is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the shell has the terminal as it was found, until `fg`."""
        termios.tcsetattr(sys.stdin, termios.TCSANOW, self._modes)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        self._hold()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", eager=True)
        def _clear_or_leave(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

        @keys.add(FOCUS_GAINED)
        def _focus_gained(_event: KeyPressEvent) -> None:
            self._has_focus, self._is_marked = True, False

        @keys.add(FOCUS_LOST)
        def _focus_lost(_event: KeyPressEvent) -> None:
            self._has_focus = False

        return keys

    # --- input -----------------------------------------------------------------------------------

    async def ask(self, question: str, *, hidden: bool = False, within: float | None = None) -> str:
        if within is None:
            return (await self._read(self._asking, f"{question} ", hidden=hidden)).strip()
        draft, self._draft = self._draft, ""
        try:
            async with asyncio.timeout(within):
                return (await self._read(self._asking, f"{question} ", draft)).strip()
        except TimeoutError:
            self._draft = self._asking.default_buffer.text
            raise

    async def line(self) -> str:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_lines())
        line = await self._lines.get()
        if isinstance(line, Closed):
            self._reading = None
            raise line
        return line

    async def rest(self) -> list[str]:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        unread = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
        return [line for line in unread if isinstance(line, str)]

    def completes(self, words: Callable[[], Sequence[str]]) -> None:
        self._words.words = words

    async def _read_lines(self) -> None:
        self._write_raw(FOCUS_EVENTS_ON)
        try:
            while True:
                draft, self._draft = self._draft, ""
                self._lines.put_nowait(await self._read(self._typing, "> ", draft))
        except asyncio.CancelledError:
            self._draft = self._typing.default_buffer.text
            raise
        except Closed as closed:
            self._lines.put_nowait(closed)
        finally:
            self._write_raw(FOCUS_EVENTS_OFF)

    def _write_raw(self, sequence: str) -> None:
        self._typing.output.write_raw(sequence)
        self._typing.output.flush()

    @staticmethod
    async def _read(session: PromptSession[str], prompt: str, draft: str = "", *, hidden: bool = False) -> str:
        try:
            return await session.prompt_async(prompt, default=draft, is_password=hidden)
        except EOFError:
            raise Closed from None
        except KeyboardInterrupt:
            raise Closed(is_interrupt=True) from None

    # --- output ----------------------------------------------------------------------------------

    def own(self, name: str, text: str) -> None:
        self._has_focus, self._is_marked = True, False  # who types looks at it
        self._print(name, "bold", [("", text)])

    def text(self, name: str, text: str, mention: tuple[int, int] | None = None) -> None:
        if not self._has_focus and not self._is_marked:
            self._is_marked = True
            self._show([("ansibrightblack", f"──── {_('unread')} ────")])
        if mention is None:
            self._print(name, colour_of(name), [("", text)])
            return
        start, end = mention
        marked = [("", text[:start]), ("bold reverse", text[start:end]), ("", text[end:])]
        self._print(name, colour_of(name), marked)
        if self._bell:
            self._typing.output.bell()
            self._typing.output.flush()

    def note(self, text: str) -> None:
        self._print("", "", [("ansibrightblack", text)])

    def warn(self, text: str) -> None:
        self._print("", "", [("ansiyellow", text)])

    def close(self) -> None:
        if self._stops is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._modes)

    def _print(self, name: str, style: str, text: list[tuple[str, str]]) -> None:
        name = fitted(name, NAME_COLUMNS_MAX)
        self._name_columns = max(self._name_columns, get_cwidth(name))
        blanks = " " * (self._name_columns - get_cwidth(name))
        now = f"{_now()} "
        indent = len(now) + self._name_columns + 1
        lines = wrapped(text, self._typing.output.get_size().columns - indent)
        below = [part for line in lines[1:] for part in [("", "\n" + " " * indent), *line]]
        self._show([("ansibrightblack", now), (style, blanks + name), ("", " "), *lines[0], *below])

    def _show(self, fragments: StyleAndTextTuples) -> None:
        """Write a line above what is being typed, and draw that again."""
        app: Application[str] | None = next((s.app for s in (self._typing, self._asking) if s.app.is_running), None)
        if app is not None:
            app.renderer.erase()
        depth = self._typing.color_depth
        line = FormattedText([*fragments, ("", "\n")])
        print_formatted_text(self._typing.output, line, default_ui_style(), color_depth=depth)
        self._typing.output.flush()
        if app is not None:
            app.renderer.reset()
            app.invalidate()


class Words(Completer):
    """Completes commands at the line's beginning, and names anywhere; a name that begins the line is addressed."""

    def __init__(self) -> None:
        self.words: Callable[[], Sequence[str]] = lambda: ()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        begun = before.rpartition(" ")[2]
        is_first = begun == before
        for word in self.words():
            if word.startswith("/") and not is_first:
                continue
            if begun and word.lower().startswith(begun.lower()):
                addressed = f"{word}: " if is_first and not word.startswith("/") else word
                yield Completion(addressed, start_position=-len(begun))


def wrapped(text: Sequence[tuple[str, str]], columns: int) -> list[list[tuple[str, str]]]:
    """`text`, pieces with their styles, in lines of so many columns at most, broken at blanks and beside wide letters.

    A longer word is broken where the line ends. At least one line.
    """
    cells = [(style, character) for style, piece in text for character in piece]
    if columns < TEXT_COLUMNS_MIN:
        return [list(text)]
    lines, start, may_break, width = [], 0, 0, 0
    breaks_behind = False  # a blank or a wide letter, and what marks it
    for at, (_style, character) in enumerate(cells):
        wide = get_cwidth(character)
        if not wide:  # a mark of the letter before it, from which nothing parts it
            continue
        if wide > 1 or breaks_behind:
            may_break = at
        breaks_behind = wide > 1 or character == " "
        if width + wide > columns and character != " ":
            end = may_break if may_break > start else at
            lines.append(cells[start:end])
            start = end
            width = sum(get_cwidth(each) for _, each in cells[start:at])
        width += wide
    lines.append(cells[start:])
    return [_joined(line) for line in lines]


def _joined(cells: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one style as one piece; without blanks at the end, which a terminal might wrap."""
    pieces = [(style, "".join(each for _, each in run)) for style, run in groupby(cells, lambda cell: cell[0])]
    if pieces:
        style, last = pieces[-1]
        pieces[-1] = style, last.rstrip(" ")
    return pieces


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

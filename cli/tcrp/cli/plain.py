"""A chat through pipes, and for screen readers: one line in, one line out."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence

from tcrp.cli.i18n import _
from tcrp.cli.screen import Closed

CHUNK = 65536
LINE_BYTES_MAX = 65536
"""A longer line is not kept until it ends: no dialect has a message of that length."""
LINES_AHEAD_MAX = 1000
"""So many lines are read before they are sent, however fast they come."""


class Plain:
    """Sends the lines of standard input; prints the texts of others on standard output, all else on standard error."""

    can_offer = False

    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ahead = threading.Semaphore(LINES_AHEAD_MAX)
        self._loop = asyncio.get_running_loop()
        # A thread, because asyncio cannot wait for a regular file on standard input; and a daemon, because a
        # blocking read could not be stopped at exit.
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := _read_some():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._put(line)
                rest = rest[: LINE_BYTES_MAX + 1]
            if rest:
                self._put(rest)
            self._put(None)
        except RuntimeError:  # the loop has ended: input is no longer needed
            return

    def _put(self, line: bytes | None) -> None:
        self._ahead.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    async def ask(self, question: str, *, hidden: bool = False, within: float | None = None) -> str:
        print(question, file=sys.stderr, flush=True)
        async with asyncio.timeout(within):
            return (await self.line()).strip()

    async def line(self) -> str:
        while (data := await self._lines.get()) is not None:
            self._ahead.release()
            if len(data) > LINE_BYTES_MAX:
                self.warn(_("Too long for one message; nothing was sent."))
                continue
            try:
                return data.removesuffix(b"\r").decode()
            except UnicodeDecodeError:
                self.warn(_("A line was not valid UTF-8 and was not sent."))
        self._lines.put_nowait(None)
        raise Closed

    async def rest(self) -> list[str]:
        """Lines that were not read yet stay in the queue."""
        return []

    def own(self, name: str, text: str) -> None:
        """Prints nothing: the user's own text is in the input."""

    def completes(self, words: Callable[[], Sequence[str]]) -> None:
        """A pipe completes nothing."""

    def close(self) -> None:
        """A pipe has no modes."""

    def text(self, name: str, text: str, mention: tuple[int, int] | None = None) -> None:
        print(f"{name}: {text}", flush=True)

    def note(self, text: str) -> None:
        print(f"* {text}", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        print(f"! {text}", file=sys.stderr, flush=True)


def _read_some() -> bytes:
    """The next bytes of standard input; none at its end, or where it is closed or cannot be read."""
    try:
        return os.read(sys.stdin.fileno(), CHUNK) if sys.stdin is not None else b""
    except OSError:
        return b""

"""A trace on a disk, which may be slow or fill up while the server goes on serving."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tcrp.net.background import BackgroundWriter
from tcrp.trace.records import WRITER, Record

WAITING_BYTES_MAX = 64 << 20
"""How far the file may be behind. A trace that grows faster than it is written ends."""
CLOSING_SECONDS = 5.0


class TraceFile:
    """A listener that writes each record to a file, behind `header`.

    `soon` has something done once the present work is over: what was recorded is then handed to a thread
    that writes it, so that a reader who follows the file sees what has happened, with one write for many
    records. Opening raises `OSError`. When writing fails, the trace ends there, and the next `flush()` or
    `close()` tells `complain` once.
    """

    def __init__(
        self,
        path: Path,
        header: str,
        soon: Callable[[Callable[[], None]], object],
        complain: Callable[[OSError], None],
    ) -> None:
        # O_NONBLOCK: a FIFO that nobody reads is an error, not a wait for its reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(path, flags, 0o666)
        os.set_blocking(self._fd, True)
        self._writer = BackgroundWriter(self._fd, WAITING_BYTES_MAX, ends_at_error=True)
        self._soon = soon
        self._complain = complain
        self._works = True
        self._records: list[Record] = []
        self._writer.write(f"{header}\n".encode("utf-8", "backslashreplace"))
        self.flush()

    def __call__(self, record: Record) -> None:
        if self._works:
            if not self._records:
                self._soon(self.flush)
            self._records.append(record)

    def flush(self) -> None:
        """Hand what was recorded to the thread, and see how it fares."""
        if not self._works:
            return
        if self._records:
            records, self._records = self._records, []
            self._writer.write(WRITER.encode_lines(records))
        self._look_for_an_error()

    def close(self) -> None:
        """Flush and close. What was asked for `soon` then finds nothing to do."""
        self.flush()
        has_ended = self._writer.close(CLOSING_SECONDS)
        if has_ended and self._fd >= 0:  # else the thread still writes there
            os.close(self._fd)
            self._fd = -1
        if self._works:
            self._look_for_an_error()
        if self._works:
            self._works = False
            if not has_ended:
                self._complain(OSError("its end was not written in time"))

    def _look_for_an_error(self) -> None:
        if self._writer.error is not None:
            self._works = False
            self._records.clear()
            self._complain(self._writer.error)

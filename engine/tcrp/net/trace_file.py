"""A trace on a disk, which may fill up while the server goes on serving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tcrp.trace.records import Record


class TraceFile:
    """A listener that writes each record to a file, behind `header`.

    `soon` has something done once the present work is over: the file is then brought up to date, so
    that a reader who follows it sees what has happened, with one write for many records. Opening raises
    `OSError`. When writing fails, `complain` is told once, and the trace ends there.
    """

    def __init__(
        self,
        path: Path,
        header: str,
        soon: Callable[[Callable[[], None]], object],
        complain: Callable[[OSError], None],
    ) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._soon = soon
        self._complain = complain
        self._works = True
        self._is_behind = False
        self._write(header)
        self.flush()

    def __call__(self, record: Record) -> None:
        if self._works:
            self._write(record.line())
            if not self._is_behind:
                self._is_behind = True
                self._soon(self.flush)

    def _write(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._is_behind = False
        if self._works:
            try:
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Flush and close. What was asked for `soon` then finds nothing to do."""
        self.flush()
        if self._works:
            self._works = False
            self._file.close()

    def _fail(self, error: OSError) -> None:
        self._works = False
        self._complain(error)
        # What the buffer holds cannot be written; closing would try once more, and fail once more.
        try:
            self._file.close()
        except OSError:
            return

"""Numbers records, hands them to listeners and digests them, in simulated time as on sockets; not what they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from tcrp.trace.records import WRITER, Record

RECORDS_AT_ONCE: Final = 256
"""One call of the writer and of the hash for so many records costs less than one for each."""


class Trace:
    """Numbers records and hands each one to its listeners, in order."""

    __slots__ = ("listeners", "n", "now_us")

    def __init__(self) -> None:
        self.n = 0
        self.now_us = 0
        self.listeners: list[Callable[[Record], None]] = []

    def add(self, record: Record) -> int:
        """Hand `record`, made with `n + 1`, to the listeners. Returns its number."""
        n = self.n = self.n + 1
        assert record.n == n, "records are numbered in the order in which they are added"
        for listener in self.listeners:
            listener(record)
        return n


class Digest:
    """The SHA-256 of every line after the header. A listener."""

    __slots__ = ("_hash", "_records")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._records: list[Record] = []

    def __call__(self, record: Record) -> None:
        self._records.append(record)
        if len(self._records) == RECORDS_AT_ONCE:
            self._flush()

    def hexdigest(self) -> str:
        """The digest of all records so far."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(WRITER.encode_lines(self._records))
        self._records.clear()

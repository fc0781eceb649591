"""The trace: who writes records, and in which order; not what they mean. It serves simulated time and real sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tcrp.trace.records import WRITER, Record


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

    RECORDS_AT_ONCE = 256  # many short lines cost the hash, and a call of the writer, more than one long text

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._records: list[Record] = []

    def __call__(self, record: Record) -> None:
        self._records.append(record)
        if len(self._records) == self.RECORDS_AT_ONCE:
            self._flush()

    def hexdigest(self) -> str:
        """The digest of all records so far."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(WRITER.encode_lines(self._records))
        self._records.clear()

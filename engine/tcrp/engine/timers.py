"""Deadlines in a heap, as data. Knows microseconds and order, no clock.

A subject has at most one deadline of each kind. Equal moments come in the order in which they were
armed. What is armed anew or cancelled stays in the heap until it comes up or is most of the heap, so both
are cheap, and nothing is ever searched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from tcrp.engine.outputs import Subject
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import Deadline

STALE_MAX = 64
"""So many entries of a heap may stand for nothing, besides as many as stand for something."""


def is_mostly_stale(held: int, live: int) -> bool:
    """Whether of what is held so much stands for nothing that it is time to drop it."""
    return held > 2 * live + STALE_MAX


@dataclass(frozen=True, slots=True)
class TimerEntry(Frozen):
    """One deadline: when, what for, and whose. In a frozen state `when_us` counts from the state's moment."""

    when_us: int
    kind: Deadline
    subject: Subject


class Timers:
    """Deadlines by moment. `len()` is how many are still to come."""

    __slots__ = ("_armed", "_heap", "_sequence")

    def __init__(self, entries: Iterable[TimerEntry] = (), now_us: int = 0) -> None:
        self._heap: list[tuple[int, int, tuple[Deadline, Subject]]] = []
        self._armed: dict[tuple[Deadline, Subject], tuple[int, int, tuple[Deadline, Subject]]] = {}
        self._sequence = 0
        for entry in entries:
            self.arm(entry.kind, entry.subject, now_us + entry.when_us)

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, kind: Deadline, subject: Subject, when_us: int) -> None:
        """Set the deadline of that kind of `subject`, in place of an earlier one."""
        self._sequence += 1
        entry = (when_us, self._sequence, (kind, subject))
        self._armed[entry[2]] = entry
        heappush(self._heap, entry)
        if is_mostly_stale(len(self._heap), len(self._armed)):
            self._heap = sorted(self._armed.values())

    def cancel(self, kind: Deadline, subject: Subject) -> None:
        """Take a deadline back, if there is one."""
        self._armed.pop((kind, subject), None)

    def when_us(self, kind: Deadline, subject: Subject) -> int | None:
        """When that deadline is, or None."""
        armed = self._armed.get((kind, subject))
        return armed[0] if armed is not None else None

    def next_us(self) -> int | None:
        """The next deadline, or None."""
        heap, armed = self._heap, self._armed
        while heap:
            when_us, sequence, key = heap[0]
            entry = armed.get(key)
            # Not `is`: compiled code holds a tuple's values, not the tuple.
            if entry is not None and entry[1] == sequence:
                return when_us
            heappop(heap)
        return None

    def pop_due(self, now_us: int) -> TimerEntry | None:
        """The earliest deadline that is due, which is then done with, or None."""
        next_us = self.next_us()
        if next_us is None or next_us > now_us:
            return None
        when_us, _, key = heappop(self._heap)
        del self._armed[key]
        return TimerEntry(when_us, *key)

    def freeze(self, now_us: int) -> tuple[TimerEntry, ...]:
        """All deadlines in their order, counted from `now_us`."""
        return tuple(TimerEntry(when_us - now_us, *key) for when_us, _, key in sorted(self._armed.values()))

"""Deadlines in a heap. Knows microseconds and order, no clock.

Equal moments come in the order in which they were armed. A cancelled timer stays in the heap until
it comes up, so arming and cancelling are cheap, and nothing is ever searched for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tcrp.spec.names import Deadline
from tcrp.trace.records import Cause


class Timer:
    """Something to be done at a moment, and what brought it about."""

    __slots__ = ("action", "cause", "live", "subject", "what", "when_us")

    def __init__(
        self, when_us: int, what: Deadline, action: Callable[[Any, int], None], subject: Any, cause: Cause
    ) -> None:
        self.when_us = when_us
        self.what = what
        self.action = action
        self.subject = subject
        self.cause = cause
        self.live = True


class Timers:
    """Timers by moment. `len()` is how many are still to come."""

    __slots__ = ("_heap", "_live", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def arm(
        self, when_us: int, what: Deadline, action: Callable[[Any, int], None], subject: Any, cause: Cause
    ) -> Timer:
        """Arm a timer: at `when_us`, `action(subject, now_us)`. `what` is its name in traces."""
        timer = Timer(when_us, what, action, subject, cause)
        self._sequence += 1
        self._live += 1
        heappush(self._heap, (when_us, self._sequence, timer))
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Take a timer back. One that has fired, or None, is taken back already."""
        if timer is not None and timer.live:
            timer.live = False
            self._live -= 1

    def next_us(self) -> int | None:
        """The next deadline, or None."""
        heap = self._heap
        while heap and not heap[0][2].live:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now_us: int) -> Timer | None:
        """The earliest timer that is due, which is then done with, or None."""
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            timer = heappop(heap)[2]
            if timer.live:
                timer.live = False
                self._live -= 1
                return timer
        return None

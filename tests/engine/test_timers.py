"""Deadlines come in order, once, and cheaply."""

from __future__ import annotations

from tcrp.engine.timers import Timers
from tcrp.spec.names import Deadline
from tcrp.trace.records import Cause


def armed(timers: Timers, when_us: int, subject: str) -> object:
    return timers.arm(when_us, Deadline.IDLE, lambda _subject, _now: None, subject, Cause())


def due(timers: Timers, now_us: int) -> list[str]:
    found = []
    while (timer := timers.pop_due(now_us)) is not None:
        found.append(timer.subject)
    return found


def test_timers_come_by_moment_and_equal_moments_as_they_were_armed() -> None:
    timers = Timers()
    for when_us, subject in ((5, "c"), (1, "a"), (5, "d"), (3, "b")):
        armed(timers, when_us, subject)
    assert due(timers, 4) == ["a", "b"]
    assert (timers.next_us(), len(timers)) == (5, 2)
    assert due(timers, 5) == ["c", "d"]
    assert (timers.next_us(), len(timers)) == (None, 0)


def test_a_cancelled_timer_never_comes_and_is_cancelled_once() -> None:
    timers = Timers()
    first = armed(timers, 1, "a")
    armed(timers, 2, "b")
    timers.cancel(first)  # type: ignore[arg-type]
    timers.cancel(first)  # type: ignore[arg-type]
    timers.cancel(None)
    assert (timers.next_us(), len(timers)) == (2, 1)
    assert due(timers, 9) == ["b"]
    timers.cancel(first)  # type: ignore[arg-type]
    assert len(timers) == 0

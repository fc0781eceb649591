"""Deadlines come in order, once, and cheaply."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Subject
from tcrp.engine.timers import STALE_MAX, TimerEntry, Timers, is_mostly_stale
from tcrp.spec.names import Deadline


def armed(timers: Timers, when_us: int, subject: str, kind: Deadline = Deadline.IDLE) -> None:
    timers.arm(kind, subject, when_us)


def due(timers: Timers, now_us: int) -> list[Subject]:
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


def test_a_cancelled_timer_never_comes_and_may_be_cancelled_again() -> None:
    timers = Timers()
    armed(timers, 1, "a")
    armed(timers, 2, "b")
    for _ in range(2):
        timers.cancel(Deadline.IDLE, "a")
    timers.cancel(Deadline.IDLE, "nobody")
    assert (timers.next_us(), len(timers)) == (2, 1)
    assert due(timers, 9) == ["b"]
    timers.cancel(Deadline.IDLE, "a")
    assert len(timers) == 0


@pytest.mark.parametrize("again_us", [1, 5, 9])
def test_a_subject_has_one_deadline_of_each_kind_and_the_latest_counts(again_us: int) -> None:
    timers = Timers()
    armed(timers, 5, "a")
    armed(timers, 5, "a", Deadline.NOTICE)
    armed(timers, 5, "b")
    armed(timers, again_us, "a")
    assert len(timers) == 3
    assert timers.when_us(Deadline.IDLE, "a") == again_us
    assert timers.when_us(Deadline.NOTICE, "a") == 5
    assert timers.when_us(Deadline.FORGET, "a") is None
    found = []
    while (timer := timers.pop_due(9)) is not None:
        found.append(timer)
    others = [TimerEntry(5, Deadline.NOTICE, "a"), TimerEntry(5, Deadline.IDLE, "b")]
    again = TimerEntry(again_us, Deadline.IDLE, "a")
    assert found == ([again, *others] if again_us == 1 else [*others, again])  # armed anew: behind its equals


def test_frozen_deadlines_stand_in_their_order_and_count_from_the_moment() -> None:
    timers = Timers()
    for when_us, subject in ((15, "c"), (11, "gone"), (15, "d"), (13, "b")):
        armed(timers, when_us, subject)
    timers.cancel(Deadline.IDLE, "gone")
    frozen = timers.freeze(10)
    assert [(each.when_us, each.subject) for each in frozen] == [(3, "b"), (5, "c"), (5, "d")]
    moved = Timers(frozen, 100)
    assert moved.freeze(100) == frozen
    assert due(moved, 104) == ["b"]
    assert due(moved, 105) == ["c", "d"]


def test_what_is_armed_anew_or_cancelled_does_not_pile_up() -> None:
    timers = Timers()
    timers.arm(Deadline.LINGER, b"first", 7)
    for n in range(1000):
        timers.arm(Deadline.FORGET, b"again", 10**9 + n)
        timers.arm(Deadline.NOTICE, n, 10**9)
        timers.cancel(Deadline.NOTICE, n)
    assert len(timers._heap) <= 2 * 3 + STALE_MAX
    assert [timers.pop_due(10**10), timers.pop_due(10**10), timers.pop_due(10**10)] == [
        TimerEntry(7, Deadline.LINGER, b"first"), TimerEntry(10**9 + 999, Deadline.FORGET, b"again"), None,
    ]  # fmt: skip


@pytest.mark.parametrize(("held", "live", "is_stale"), [(64, 0, False), (65, 0, True), (84, 10, False), (85, 10, True)])
def test_what_is_held_is_mostly_stale_above_twice_what_is_live_and_64(held: int, live: int, is_stale: bool) -> None:
    assert is_mostly_stale(held, live) is is_stale

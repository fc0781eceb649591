"""When a client must speak, and when its server counts as silent: the moments themselves, without engines."""

from __future__ import annotations

import pytest

from conversation import SECOND
from tcrp.engine.liveness import (
    UNHEARD_TEXTS_MAX,
    UNTOLD_KEEP_ALIVE_US,
    Liveness,
    keep_alive_us,
    learned_keep_alive_us,
)

INTERVAL = 20 * SECOND
IDLE = 100 * SECOND


def alive(*, interval_us: int | None = None, can_ask: bool = True) -> Liveness:
    """A client whose token has arrived at 7 s."""
    return Liveness(IDLE, interval_us, can_ask=can_ask, now_us=7 * SECOND)


def seconds(us: int) -> float:
    return us / SECOND


def test_everything_is_counted_from_the_token() -> None:
    some = alive()
    assert (seconds(some.idles_us), seconds(some.next_us)) == (107, 27)
    assert not some.must_speak(27 * SECOND - 1)
    assert some.must_speak(27 * SECOND)


def test_a_client_that_speaks_need_not_speak_unless_its_server_is_to_be_asked() -> None:
    for can_ask, next_s in ((False, 45), (True, 27)):
        some = alive(can_ask=can_ask)
        some.spoke_us = 25 * SECOND
        assert seconds(some.next_us) == next_s


def test_a_server_that_never_answered_is_asked_an_interval_after_it_was_asked() -> None:
    some = alive()
    some.spoke_us = some.asked_us = 27 * SECOND
    some.spoke_us = 40 * SECOND
    assert seconds(some.next_us) == 47


def test_a_silent_server_that_answered_is_asked_four_times_within_the_next_interval() -> None:
    some = alive()
    some.answered(10 * SECOND)
    some.spoke_us = 29 * SECOND
    assert seconds(some.next_us) == 30
    for asked_s, next_s in ((30, 35), (35, 40), (40, 45)):
        some.asked_us = some.spoke_us = asked_s * SECOND
        assert seconds(some.next_us) == next_s


def test_a_server_that_answered_is_found_silent_once_after_two_intervals_and_again_after_it_spoke() -> None:
    some = alive()
    some.answered(10 * SECOND)
    assert some.finds_silence(50 * SECOND)
    assert not some.finds_silence(51 * SECOND)
    some.heard(60 * SECOND)
    assert not some.finds_silence(100 * SECOND - 1)
    assert some.finds_silence(100 * SECOND)


def test_the_moment_of_silence_is_waited_for_even_where_nothing_is_to_be_said_until_then() -> None:
    some = alive()
    some.answered(10 * SECOND)
    some.spoke_us = some.asked_us = 48 * SECOND
    assert seconds(some.next_us) == 50
    assert some.finds_silence(50 * SECOND)
    assert seconds(some.next_us) == 68  # it keeps itself alive, and asks no more


def test_a_server_that_never_answered_is_not_found_silent() -> None:
    some = alive()
    some.heard(10 * SECOND)
    assert not some.finds_silence(1000 * SECOND)


def test_a_shorter_interval_that_was_set_stays_and_any_other_follows_what_the_server_tells() -> None:
    for interval_s, told_s, expected_s in ((None, 50, 10), (None, 500, 100), (5, 50, 5), (5, 10, 2), (60, 50, 10)):
        some = alive(interval_us=interval_s * SECOND if interval_s is not None else None)
        assert seconds(some.interval_us) == (interval_s or 20)
        some.told(told_s * SECOND)
        assert seconds(some.interval_us) == expected_s
        assert seconds(some.idle_timeout_us) == told_s


def test_the_latest_texts_since_the_servers_last_word_are_kept() -> None:
    some = alive()
    for number in range(70):
        some.said(str(number))
    assert some.unheard == [str(number) for number in range(6, 70)]
    assert len(some.unheard) == UNHEARD_TEXTS_MAX
    some.heard(8 * SECOND)
    assert some.unheard == []


def test_a_fifth_of_a_timeout_fits_and_never_less_than_a_tenth_of_a_second() -> None:
    assert seconds(keep_alive_us(IDLE)) == 20
    assert keep_alive_us(499_999) == keep_alive_us(0) == 100_000
    assert keep_alive_us(500_005) == 100_001
    assert seconds(UNTOLD_KEEP_ALIVE_US) == 10  # docs/chat.md


def test_after_an_unexpected_end_the_interval_is_at_most_half() -> None:
    assert seconds(learned_keep_alive_us(60 * SECOND, 200 * SECOND)) == 30
    assert seconds(learned_keep_alive_us(60 * SECOND, 20 * SECOND)) == 4
    assert learned_keep_alive_us(150_000, 100 * SECOND) == 100_000


@pytest.mark.parametrize("is_answered", [False, True])
def test_what_is_frozen_counts_back_and_goes_on(is_answered: bool) -> None:
    some = alive()
    some.heard(9 * SECOND)
    if is_answered:
        some.answered(9 * SECOND)
    some.spoke_us, some.asked_us = 10 * SECOND, 8 * SECOND
    some.said("hello")
    state = some.freeze(12 * SECOND, is_living=True, keeps_alive=True)
    ago = [seconds(us) for us in (state.spoke_ago_us, state.heard_ago_us, state.asked_ago_us)]
    assert (ago, state.is_answered, state.unheard) == ([2, 3, 4], is_answered, ("hello",))
    other = Liveness(2 * IDLE, INTERVAL // 2, can_ask=True, now_us=0)
    other.thaw(state, 112 * SECOND)
    assert other.freeze(112 * SECOND, is_living=True, keeps_alive=True) == state
    assert other.next_us == some.next_us + 100 * SECOND
    ended = some.freeze(12 * SECOND, is_living=False, keeps_alive=False)
    assert (ended.spoke_ago_us, ended.heard_ago_us, ended.asked_ago_us) == (0, 0, 0)

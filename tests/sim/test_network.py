"""Draws, links and clocks: keyed, exact, and the same for ever."""

from __future__ import annotations

import math

import pytest

from tcrp.sim.clock import HostClock
from tcrp.sim.draws import delay_us, key_of, loss_threshold, mix
from tcrp.sim.scenario.model import Exponential, Link, LinkRule, LinkSettings, Network, Place, Span
from tcrp.sim.ways import Way, Ways

MANY = 20_000
KEYS = [mix(number) for number in range(MANY)]
HERE = Place(1, 1)


def test_draws_are_these_numbers_and_no_others() -> None:
    """Pinned: a change here changes every trace there is."""
    assert key_of(7, "bob.say#1") == 6899825663265663247
    assert [mix(number) for number in (0, 1, 2**64 - 1)] == [0, 6238072747940578789, 13029008266876403067]
    assert [delay_us(Exponential(20_000, 5000), bits) for bits in (0, 1, 2**31, 2**32 - 1)] == [
        448614,
        434751,
        18862,
        5000,
    ]


def test_a_span_is_drawn_evenly_and_both_ends_are_possible() -> None:
    drawn = [delay_us(Span(10, 13), key & 0xFFFFFFFF) for key in KEYS]
    assert all(abs(drawn.count(each) / MANY - 0.25) < 0.02 for each in (10, 11, 12, 13))
    assert set(drawn) == {10, 11, 12, 13}


def test_an_exponential_delay_has_its_mean_its_least_and_its_tail() -> None:
    drawn = sorted(delay_us(Exponential(20_000, 5000), key & 0xFFFFFFFF) for key in KEYS)
    assert drawn[0] >= 5000
    assert abs(sum(drawn) / MANY - 25_000) < 500
    assert abs(drawn[MANY // 2] - (5000 + 20_000 * math.log(2))) < 500
    assert drawn[-1] > 5000 + 20_000 * 7


@pytest.mark.parametrize(("ppm", "share"), [(0, 0.0), (20_000, 0.02), (500_000, 0.5), (1_000_000, 1.0)])
def test_a_share_is_lost(ppm: int, share: float) -> None:
    way = Way("bob", "server")
    way.apply(LinkSettings(delay=Span(0, 0), loss_ppm=ppm))
    lost = sum(way.loses(key) for key in KEYS) / MANY
    assert abs(lost - share) < 0.005
    assert loss_threshold(1_000_000) == 1 << 32


def test_settings_of_links_lie_over_the_default_and_later_ones_over_earlier_ones() -> None:
    network = Network(
        LinkSettings(Span(10, 10), 0),
        (
            LinkRule(Link("bob", "server"), LinkSettings(loss_ppm=1_000_000), HERE),
            LinkRule(Link("all", "server"), LinkSettings(delay=Span(30, 30)), HERE),
        ),
    )
    ways = Ways(network)
    bob, carol, back = ways.between("bob", "server"), ways.between("carol", "server"), ways.between("server", "bob")
    assert [way.delay_us(0) for way in (bob, carol, back)] == [30, 30, 10]
    assert [way.loses(1 << 63) for way in (bob, carol, back)] == [True, False, False]
    ways.set([Link("bob", "server")], LinkSettings(delay=Span(5, 5)))
    assert (bob.delay_us(0), bob.loses(1 << 63), carol.delay_us(0)) == (5, True, 30)


def test_cuts_are_healed_by_the_same_or_a_wider_form() -> None:
    ways = Ways(Network())
    up, down = ways.between("bob", "server"), ways.between("server", "bob")
    ways.cut([Link("bob", "server")])
    assert (up.is_cut, down.is_cut) == (True, False)
    ways.cut([Link("all", "server")])
    assert ways.heal([Link("bob", "server")]) == []  # everyone's is still cut
    assert ways.heal([Link("all", "server")]) == [up]
    assert ways.between("late", "server").is_cut is False


def test_a_clock_may_be_ahead_and_drift_but_never_goes_back() -> None:
    clock = HostClock()
    assert clock.local_us(1_000_000) == 1_000_000
    clock.disturb(1_000_000, 2_000_000, 100)
    assert clock.local_us(1_000_000) == 3_000_000
    assert clock.local_us(11_000_000) == 13_001_000
    clock.disturb(11_000_000, -5_000_000, 0)
    assert clock.local_us(12_000_000) == 13_001_000
    assert clock.local_us(17_000_000) == 14_001_000


@pytest.mark.parametrize("drift", [0, 100, -100, 499_999, -499_999])
def test_a_deadline_is_reached_when_the_clock_shows_it_and_not_before(drift: int) -> None:
    clock = HostClock()
    clock.disturb(123, 456, drift)
    for deadline in range(600, 5_000_000, 77_777):
        when = clock.world_us(deadline)
        fresh = HostClock()
        fresh.disturb(123, 456, drift)
        assert fresh.local_us(when - 1) < deadline <= fresh.local_us(when)

"""A host's clock: skewed and drifting, never backwards, and heeded when it shows the moment."""

from __future__ import annotations

import pytest

from tcrp.sim.network.clock import HostClock


def test_an_undisturbed_clock_shows_the_worlds_time() -> None:
    clock = HostClock()
    assert clock.is_right is True
    assert [clock.local_us(now_us) for now_us in (0, 1, 1_000_000)] == [0, 1, 1_000_000]
    assert clock.world_us(1_000_000) == 1_000_000


def test_a_clock_may_be_ahead_and_drift_but_never_goes_back() -> None:
    clock = HostClock()
    assert clock.local_us(1_000_000) == 1_000_000
    clock.disturb(1_000_000, 2_000_000, 100)
    assert clock.is_right is False
    assert clock.local_us(1_000_000) == 3_000_000
    assert clock.local_us(11_000_000) == 13_001_000
    clock.disturb(11_000_000, -5_000_000, 0)
    assert clock.local_us(12_000_000) == 13_001_000  # it stands until it has caught up
    assert clock.local_us(16_000_000) == 13_001_000
    assert clock.local_us(16_000_001) == 13_001_001
    assert clock.local_us(17_000_000) == 14_001_000


def test_a_clock_that_was_not_looked_at_before_it_was_set_back_does_not_go_back_either() -> None:
    clock = HostClock()
    clock.disturb(10_000_000, -4_000_000, 0)
    assert clock.local_us(11_000_000) == 10_000_000
    assert clock.local_us(15_000_000) == 11_000_000


def test_disturbances_add_up() -> None:
    clock = HostClock()
    clock.disturb(1_000_000, 500, 200)
    clock.disturb(3_000_000, 70, -100)
    # 2 s at 200 ppm gained 400 us; another second at -100 ppm loses 100.
    assert clock.local_us(4_000_000) == 4_000_000 + 500 + 400 + 70 - 100


@pytest.mark.parametrize("drift", [0, 100, -100, 499_999, -499_999])
def test_a_deadline_is_reached_when_the_clock_shows_it_and_not_before(drift: int) -> None:
    for deadline in range(600, 5_000_000, 77_777):
        clock = HostClock()
        clock.disturb(123, 456, drift)
        when = clock.world_us(deadline)
        assert clock.local_us(when - 1) < deadline <= clock.local_us(when)

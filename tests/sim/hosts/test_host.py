"""A simulated machine: when it wakes its engine, by which clock, and what a pause does to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from tcrp.engine.server import Outputs
from tcrp.sim.hosts.server import ServerHost
from tcrp.sim.network.links import Network
from tcrp.sim.network.packets import Origin
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import LinkSettings, NetworkSettings
from tcrp.spec.limits import Limits
from tcrp.trace.records import FaultRecord, Record
from tcrp.trace.trace import Trace


class Machine:
    """A host whose engine has deadlines, and keeps when it was woken: by the world's clock and by its own."""

    is_quiescent = True

    def __init__(self, *deadlines_us: int) -> None:
        self.records: list[Record] = []
        trace = Trace()
        trace.listeners.append(self.records.append)
        self.world = World(Network(NetworkSettings(LinkSettings())), trace)
        self.deadlines_us = list(deadlines_us)
        self.woken: list[tuple[int, int]] = []
        self.heard: list[tuple[int, str]] = []
        self.catching_up: list[bool] = []
        self.host = ServerHost(self.world, Limits(), 0, make_engine=lambda *_given, **_named: cast(Any, self))
        self.host.rearm()

    # --- as its engine -------------------------------------------------------------------------------

    def next_deadline_us(self) -> int | None:
        return min(self.deadlines_us, default=None)

    def handle_timeout(self, now_us: int) -> Outputs:
        self.woken.append((self.world.now_us, now_us))
        self.catching_up.append(self.host.is_catching_up)
        self.deadlines_us = [each for each in self.deadlines_us if each > now_us]
        return []

    # --- what happens to it --------------------------------------------------------------------------

    def hears(self, word: str) -> None:
        if self.host.is_paused:
            self.host.hold(self.hears, word)
        else:
            self.heard.append((self.world.now_us, word))

    def wants(self, deadline_us: int) -> None:
        self.deadlines_us.append(deadline_us)
        self.host.rearm()

    def at(self, when_us: int, do: Callable[[], None]) -> Machine:
        self.world.at(when_us, lambda _: do(), None)
        return self

    def passes(self) -> list[int]:
        """Let everything happen. When it was woken."""
        while self.world.events:
            self.world.step()
        return [world_us for world_us, _ in self.woken]

    def faults(self) -> list[str]:
        return [each.what for each in self.records if isinstance(each, FaultRecord)]


def test_it_is_woken_once_at_each_deadline() -> None:
    assert Machine(30, 10, 20, 20).passes() == [10, 20, 30]
    assert Machine().passes() == []


def test_an_earlier_deadline_comes_before_the_one_that_was_waited_for() -> None:
    machine = Machine(100)
    assert machine.at(10, lambda: machine.wants(40)).passes() == [40, 100]


def test_a_later_deadline_does_not_put_off_the_earlier_one() -> None:
    machine = Machine(40)
    assert machine.at(10, lambda: machine.wants(100)).passes() == [40, 100]


def test_a_deadline_that_is_over_wakes_it_at_once() -> None:
    machine = Machine()
    assert machine.at(50, lambda: machine.wants(20)).passes() == [50]


def test_a_disarmed_machine_sleeps_until_it_is_armed_again() -> None:
    machine = Machine(40)
    assert machine.at(10, machine.host.disarm).passes() == []
    machine.host.rearm()
    assert machine.passes() == [40]


# --- its clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skew_us", "drift_ppm", "woken"),
    [
        (30, 0, (70, 100)),
        (-30, 0, (130, 100)),
        (1000, 0, (10, 1010)),  # it shows more than its deadline at once
        (0, 100_000, (92, 100)),
        (0, -100_000, (110, 100)),
    ],
)
def test_deadlines_are_by_its_own_clock(skew_us: int, drift_ppm: int, woken: tuple[int, int]) -> None:
    machine = Machine(100)
    machine.at(10, lambda: machine.host.disturb_clock(skew_us, drift_ppm, Origin("test", 0)))
    machine.passes()
    assert machine.woken == [woken]
    assert machine.faults() == ["clock"]


def test_an_undisturbed_clock_shows_the_worlds_time() -> None:
    machine = Machine(100)
    machine.world.now_us = 77
    assert machine.host.local_us() == 77


# --- pauses --------------------------------------------------------------------------------------


def paused(machine: Machine, *spans: tuple[int, int]) -> Machine:
    for begins_us, for_us in spans:
        machine.at(begins_us, partial(machine.host.pause, for_us, Origin("test", 0)))
    return machine


def test_what_arrives_in_a_pause_is_heard_in_order_when_it_is_over() -> None:
    machine = paused(Machine(), (10, 50))
    for when_us, word in ((5, "before"), (20, "one"), (30, "two"), (60, "the last"), (61, "after")):
        machine.at(when_us, partial(machine.hears, word))
    machine.passes()
    # What was scheduled first for 60 us is held: the end of the pause was scheduled at its beginning.
    assert machine.heard == [(5, "before"), (60, "one"), (60, "two"), (60, "the last"), (61, "after")]
    assert machine.faults() == ["pause", "resume"]


def test_timers_of_a_pause_are_late_and_the_host_catches_up_until_they_have_had_their_turn() -> None:
    machine = paused(Machine(20, 30, 100), (10, 50))
    assert machine.passes() == [60, 100]
    assert machine.catching_up == [True, False]


@pytest.mark.parametrize("spans", [[(10, 50), (20, 10)], [(10, 20), (20, 40)], [(10, 50)] * 2])
def test_of_pauses_that_overlap_the_last_end_counts(spans: list[tuple[int, int]]) -> None:
    machine = paused(Machine(15), *spans)
    assert machine.passes() == [60]
    assert machine.faults().count("resume") == 1


def test_a_paused_machine_is_not_armed() -> None:
    machine = paused(Machine(), (10, 50))
    assert machine.at(20, lambda: machine.wants(30)).passes() == [60]


def test_a_machine_without_a_deadline_has_nothing_to_catch_up() -> None:
    machine = paused(Machine(), (10, 50))
    machine.passes()
    assert not machine.host.is_catching_up


def test_a_process_that_is_gone_hears_nothing_of_what_waited_and_its_pause_is_over() -> None:
    machine = paused(Machine(), (10, 50))
    machine.at(20, lambda: machine.hears("lost")).at(30, machine.host.forget_held)
    machine.at(40, lambda: machine.hears("heard"))
    machine.passes()
    assert machine.heard == [(40, "heard")]
    assert machine.faults() == ["pause"]

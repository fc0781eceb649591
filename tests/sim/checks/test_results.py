"""What the checks have found: the first violation that counts, and how often each property was judged."""

from __future__ import annotations

import made_records as made
from tcrp.sim.checks.results import CheckResults, Violation
from tcrp.sim.network.links import Network
from tcrp.sim.network.world import World
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Machine, Property, Rule
from tcrp.trace.trace import Trace

FIRST, SECOND = Property.TABLE_STEPS, Property.TOKENS_UNIQUE


def world_at(now_us: int, *, trace: Trace | None = None) -> World:
    links = Run(read_scenario_text("claim: a\nscript:\n  - {at: 0s, ann: {create: lobby}}\n")).scenario.network
    world = World(Network(links, 0), trace)
    world.now_us = now_us
    return world


def test_the_first_violation_stays_and_says_when_it_was() -> None:
    world = world_at(7)
    results = CheckResults(world, frozenset())
    results.judge(FIRST, True, "nothing")
    assert results.violation is None
    results.judge(SECOND, False, "{} of {}", 2, "ann")
    world.now_us = 8
    results.judge(FIRST, False, "later")
    assert results.violation == Violation(SECOND, "2 of ann", 0, 7)


def test_it_names_the_latest_record_of_the_trace() -> None:
    trace = Trace()
    for _ in range(3):
        trace.n += 1
    results = CheckResults(world_at(0, trace=trace), frozenset())
    record = made.refusal(
        actor="ann", event="left", from_="open", id="lobby", machine=Machine.ROOM, n=3, rule=Rule.REL_1
    )
    results.judge(FIRST, False, "{record.id} and {}", "braces {} in a value", record=record)
    assert results.violation == Violation(FIRST, "lobby and braces {} in a value", 3, 0)


def test_a_property_that_is_left_out_is_counted_and_breaks_nothing() -> None:
    results = CheckResults(world_at(0), frozenset({FIRST}))
    results.judge(FIRST, False, "left out")
    results.passed(FIRST)
    assert (results.violation, results.judged[FIRST], results.judged[SECOND]) == (None, 2, 0)
    results.judge(SECOND, False, "counts")
    assert results.violation is not None

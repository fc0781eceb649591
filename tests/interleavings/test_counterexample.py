"""A counterexample is a scenario: a simulated run of it comes to the same violation."""

from __future__ import annotations

from typing import Any

import pytest

from planted_bugs import (
    AcceptsEndedTokens,
    Amplifies,
    ForgetsAMember,
    NeverDrains,
    NeverHalfCloses,
    NeverResetsTheIdleClock,
    RelaysBeforeTheTokenIsChecked,
    SendsNoticesOnce,
    room_outlives_its_host,
    row_leads_elsewhere,
)
from tcrp.explore.model import Bounds
from tcrp.interleavings.exploration import Found, explore
from tcrp.interleavings.timing import Constraints, NoTimes
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.writer import write_scenario
from tcrp.spec.names import Property


def found_in(bounds: str, bug: Any) -> Found:
    return explore(read_scenario_text(f"claim: a\nexplore: {bounds}\n"), Bounds(), make_engine=bug)


def replayed(scenario: Scenario, bug: Any) -> Verdict:
    return Run(read_scenario_text(write_scenario(scenario)), make_engine=bug).go()


@pytest.mark.parametrize(
    ("bug", "bounds", "steps_max", "property"),
    [
        (row_leads_elsewhere, "{users: 1}", 5, Property.TABLE_STEPS),
        (NeverHalfCloses, "{users: 1}", 5, Property.STREAMS_HALF_CLOSE),
        (ForgetsAMember, "{users: 2, texts: 1}", 18, Property.RELAY_TO_EVERY_MEMBER),
        (room_outlives_its_host, "{users: 1}", 9, Property.TABLE_STEPS),
        (NeverDrains, "{users: 1}", 9, Property.MATCHES_REFERENCE),
        (SendsNoticesOnce, "{users: 2, texts: 0}", 11, Property.MATCHES_REFERENCE),
        (NeverResetsTheIdleClock, "{users: 1}", 11, Property.MATCHES_REFERENCE),
        (RelaysBeforeTheTokenIsChecked, "{users: 1, attacker: true}", 9, Property.REJECTED_CHANGES_NOTHING),
        (Amplifies, "{users: 2, texts: 1, drops: 1}", 13, Property.NO_AMPLIFICATION),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_planted_bug_is_found_by_a_shortest_path_and_replayed(
    bug: Any, bounds: str, steps_max: int, property: Property
) -> None:
    found = found_in(bounds, bug)
    assert found.broken is not None
    assert found.path is not None
    assert found.scenario is not None, found.why
    verdict = replayed(found.scenario, bug)
    assert verdict.violation is not None
    assert found.broken.property is property
    assert len(found.path.steps) <= steps_max
    # A deadline that is not the reference's is seen when it is set; in a run, by whoever sees it come first.
    early = bug is NeverResetsTheIdleClock
    assert verdict.violation.property is (Property.ONLY_THE_SILENT_IDLE if early else property)


def test_the_engine_without_the_bug_passes_the_same_scenario() -> None:
    found = found_in("{users: 2, texts: 1}", ForgetsAMember)
    assert found.scenario is not None
    assert Run(found.scenario).go().violation is None


def test_a_bug_that_no_bound_reaches_is_not_found() -> None:
    found = found_in("{users: 1, texts: 1}", AcceptsEndedTokens)  # nobody speaks after the end
    assert found.broken is None
    assert found.result.is_exhausted


def test_moments_fit_what_they_must_fit_or_none_are_found() -> None:
    constraints = Constraints()
    constraints.exactly(0, 2, 100)
    constraints.after(1, 2, 10)
    constraints.after(0, 1, 30)
    assert constraints.solve(3) == [0, 30, 100]
    constraints.after(2, 1, 1)
    with pytest.raises(NoTimes, match="of 3"):
        constraints.solve(3)

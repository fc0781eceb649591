"""Every scenario of the collection holds, exercises what it says it covers, and together they cover everything."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.coverage import SHOWN_OTHERWISE, Coverage
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario
from tcrp.spec.cluster_names import AnyRule
from tcrp.spec.names import Rule
from tcrp.trace.reader import read_trace
from tcrp.trace.records import Record

SCENARIOS = sorted((Path(__file__).parents[2] / "sim" / "scenarios").rglob("*.yaml"))


@cache
def ran(path: Path) -> tuple[Verdict, Coverage]:
    """What a scenario has shown; each runs once in a session."""
    coverage = Coverage()
    verdict = Run(read_scenario(path), listeners=[coverage.hear]).go()
    coverage.add_judged(verdict)
    return verdict, coverage


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_claim_holds(path: Path) -> None:
    verdict, _ = ran(path)
    failures = [f"line {miss.expectation.place.line}: {miss.nearest}" for miss in verdict.misses]
    assert (failures, verdict.violation, verdict.never_taken) == ([], None, ())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_a_scenario_says_it_covers_it_exercises(path: Path) -> None:
    verdict, coverage = ran(path)
    assert verdict.scenario.covers, "a scenario says which rules it exercises"
    assert [rule for rule in verdict.scenario.covers if not coverage.rules[rule]] == []


def test_together_they_exercise_every_row_and_every_rule() -> None:
    together = Coverage()
    said: set[AnyRule] = set()
    for path in SCENARIOS:
        verdict, coverage = ran(path)
        together.add(coverage)
        said.update(verdict.scenario.covers)
    assert together.missing_rows() == []
    assert together.missing_rules() == []
    assert [rule for rule in Rule if rule not in said and rule not in SHOWN_OTHERWISE] == []


def test_a_room_of_a_thousand_and_five_hundred_rooms_of_ten_are_among_them() -> None:
    sizes = {path.stem: len(read_scenario(path).users) for path in SCENARIOS}
    assert sizes["a-thousand-members-in-one-room"] >= 1000
    assert sizes["five-hundred-rooms-of-ten"] == 5000


SMALL = [path for path in SCENARIOS if "thousand" not in path.stem and "hundred" not in path.stem]


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_its_trace_is_read_back_as_it_was_recorded(path: Path) -> None:
    """The writer and the strict reader of traces know the same words."""
    records: list[Record] = []
    scenario = read_scenario(path)
    Run(scenario, listeners=[records.append]).go()
    header = scenario_header(scenario, scenario.seed, path.name).line()
    _, read = read_trace([f"{line}\n" for line in (header, *(record.line() for record in records))], name=path.name)
    assert list(read) == records

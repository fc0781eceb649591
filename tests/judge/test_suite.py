"""The suite: every rule is asked about or has a reason why not, and what is asked about can be repaired."""

from __future__ import annotations

from tcrp.judge.suite import ALL, NOT_FROM_OUTSIDE, REPAIRS, probes, unasked
from tcrp.spec.names import Rule


def test_every_rule_is_asked_about_or_has_a_reason_why_not() -> None:
    asked = {rule for probe in ALL for rule in probe.rules}
    assert asked | NOT_FROM_OUTSIDE.keys() == set(Rule)
    assert not asked & NOT_FROM_OUTSIDE.keys()


def test_every_rule_that_is_asked_about_has_a_repair() -> None:
    assert REPAIRS.keys() == {rule for probe in ALL for rule in probe.rules}


def test_names_of_probes_differ() -> None:
    assert len({probe.name for probe in ALL}) == len(ALL)


def test_hostile_probes_run_last_and_only_if_asked_for() -> None:
    gentle, hostile = probes(is_hostile=False, is_loaded=False), probes(is_hostile=True, is_loaded=False)
    assert hostile[: len(gentle)] == gentle
    assert {probe.group for probe in hostile[len(gentle) :]} == {"hostile"}
    assert unasked(gentle).keys() - unasked(hostile).keys() == {Rule.IDLE_2, Rule.LIM_1}

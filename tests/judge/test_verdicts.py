"""Verdicts put together from findings: the worst decides, and nothing that was found is left out."""

from __future__ import annotations

import itertools

import pytest

from tcrp.judge.verdicts import Finding, Judgement, Outcome, Verdict, merge
from tcrp.spec.names import Rule

HOLDS = Finding(Rule.REL_1, Outcome.HOLDS, "all arrived", "relays")
BROKEN = Finding(Rule.REL_1, Outcome.BROKEN, "none arrived", "order")
SKIPPED = Finding(Rule.REL_1, Outcome.NOT_TESTED, "no word for it", "leaving")
LOST = Finding(Rule.REL_1, Outcome.NOT_TESTED, "the network lost 2 of 8", "names", inconclusive=True)


def verdict_on(*findings: Finding, why: str = "") -> Verdict:
    verdicts = merge(findings, {Rule.REL_1: why} if why else {})
    assert [each.rule for each in verdicts] == list(Rule)
    return next(each for each in verdicts if each.rule is Rule.REL_1)


@pytest.mark.parametrize(
    ("findings", "outcome", "said"),
    [
        ((HOLDS,), Outcome.HOLDS, "all arrived"),
        ((HOLDS, SKIPPED), Outcome.HOLDS, "all arrived; not tested: no word for it"),
        ((HOLDS, LOST), Outcome.NOT_TESTED, "the network lost 2 of 8"),
        ((LOST, BROKEN, HOLDS), Outcome.BROKEN, "none arrived"),
        ((HOLDS, HOLDS._replace(said="in order")), Outcome.HOLDS, "all arrived; in order"),
        ((BROKEN, BROKEN), Outcome.BROKEN, "none arrived"),
        ((SKIPPED,), Outcome.NOT_TESTED, "no word for it"),
        ((), Outcome.NOT_TESTED, "no probe asked"),
    ],
)
def test_the_worst_finding_decides_and_what_was_not_asked_is_said(
    findings: tuple[Finding, ...], outcome: Outcome, said: str
) -> None:
    verdict = verdict_on(*findings)
    assert (verdict.outcome, verdict.said, verdict.findings) == (outcome, said, findings)


def test_the_outcome_does_not_depend_on_the_order_of_the_findings() -> None:
    for chosen in itertools.permutations((HOLDS, BROKEN, SKIPPED, LOST), 3):
        assert verdict_on(*chosen).outcome is verdict_on(*reversed(chosen)).outcome


def test_a_rule_without_findings_says_why() -> None:
    assert verdict_on(why="only with --hostile").said == "only with --hostile"
    assert verdict_on(HOLDS, why="only with --hostile").said == "all arrived"


@pytest.mark.parametrize(
    ("findings", "inconclusive"),
    [((LOST,), True), ((LOST, HOLDS), True), ((LOST, BROKEN), False), ((SKIPPED,), False), ((), False)],
)
def test_a_verdict_is_inconclusive_if_it_was_asked_for_without_a_result(
    findings: tuple[Finding, ...], inconclusive: bool
) -> None:
    verdict = verdict_on(*findings)
    assert verdict.is_inconclusive is inconclusive
    judgement = Judgement("server", "text", (verdict,))
    assert judgement.is_conclusive is not inconclusive
    assert judgement.is_broken is (BROKEN in findings)


def test_the_proof_is_the_first_finding_of_the_outcome() -> None:
    assert verdict_on(HOLDS, BROKEN, BROKEN._replace(probe="later")).proof == BROKEN
    assert verdict_on().proof is None


def test_verdicts_are_chosen_by_outcome_in_the_order_of_the_rules() -> None:
    judgement = Judgement("server", "text", merge([BROKEN, BROKEN._replace(rule=Rule.TCP_1)], {}))
    assert [each.rule for each in judgement.with_outcome(Outcome.BROKEN)] == [Rule.TCP_1, Rule.REL_1]

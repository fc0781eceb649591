"""Servers that others wrote, each with one flaw: the judge reports that flaw and nothing else."""

from __future__ import annotations

from functools import cache

import pytest

from judge.flawed_servers import FLAWED, JSON, Server, broken_rule
from judge.judging import broken, doubtful, judge_all
from tcrp.judge.suite import ALL
from tcrp.judge.verdicts import Judgement, Outcome
from tcrp.spec.names import Rule


@cache
def judgements() -> list[Judgement]:
    """The verdicts on the server without a flaw in both dialects, and on each flawed one, judged at the same time."""
    classes = [(Server, "text"), (Server, JSON), *FLAWED]
    servers = [each() for each, _ in classes]
    try:
        return judge_all([(*server.ports, dialect) for server, (_, dialect) in zip(servers, classes, strict=True)])
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("number", [0, 1])
def test_a_server_that_follows_the_rules_conforms(number: int) -> None:
    judgement = judgements()[number]
    assert broken(judgement) == {}
    assert doubtful(judgement) == {}
    assert len(judgement.with_outcome(Outcome.HOLDS)) >= 20


@pytest.mark.parametrize("number", range(len(FLAWED)), ids=[each.__name__ for each, _ in FLAWED])
def test_a_flaw_is_reported_at_its_rule_and_at_no_other(number: int) -> None:
    judgement = judgements()[number + 2]
    found = broken(judgement)
    assert set(found) == {broken_rule(FLAWED[number][0])}, (found, doubtful(judgement))


def test_each_rule_that_is_asked_about_has_a_flawed_server() -> None:
    asked = {rule for probe in ALL for rule in probe.rules}
    assert {Rule(broken_rule(each)) for each, _ in FLAWED} == asked

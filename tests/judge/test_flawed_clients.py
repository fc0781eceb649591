"""Clients that others wrote, each with one flaw: the judge reports that flaw and nothing else."""

from __future__ import annotations

from functools import cache

import pytest

from judge.client_judging import FOREIGN, IN_THE_ROOM, PLACES, Judged, judge_all
from judge.flawed_client import FLAWS, IN_THE_ROOM_ONLY, WITH_PORT
from judge.judging import broken, doubtful
from tcrp.judge.client_suite import ALONE, CHAT, CORE, NOT_OF_CLIENTS, REPAIRS
from tcrp.judge.verdicts import Judgement, Outcome
from tcrp.spec.names import Rule

NONE = "none"


@cache
def judgements() -> dict[str, Judgement]:
    """The verdicts on the client without a flaw, and on each flawed one, judged at the same time."""
    names = [NONE, *FLAWS]
    dialects = ["name-port" if each in WITH_PORT else "text" for each in names]
    clients = [
        # Where a flaw shows in the room only, the handshakes are those of the client without a flaw: judged with that.
        Judged((*FOREIGN, name, *PLACES), dialect, "default", IN_THE_ROOM if name in IN_THE_ROOM_ONLY else ALONE)
        for name, dialect in zip(names, dialects, strict=True)
    ]
    return dict(zip(names, judge_all(clients), strict=True))


def test_a_client_that_follows_the_rules_conforms() -> None:
    judgement = judgements()[NONE]
    assert broken(judgement) == {}
    assert doubtful(judgement) == {}
    assert len(judgement.with_outcome(Outcome.HOLDS)) == 20


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_reported_at_its_rule_and_at_no_other(flaw: str) -> None:
    found = broken(judgements()[flaw])
    assert set(found) == {FLAWS[flaw]}, (found, doubtful(judgements()[flaw]))


def test_each_rule_that_is_asked_about_has_a_flawed_client_and_a_repair() -> None:
    asked = {rule for probe in [*CORE, *CHAT] for rule in probe.rules} | {
        rule for probe in ALONE for rule in probe.rules
    }
    assert {Rule(each) for each in FLAWS.values()} == asked | {Rule.ADDR_1} == REPAIRS.keys()
    assert asked | NOT_OF_CLIENTS.keys() == set(Rule)
    assert not asked & NOT_OF_CLIENTS.keys()

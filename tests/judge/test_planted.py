"""chat-server processes, each with a planted bug of the simulator's tests: the judge reports it at its rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import planted_bugs as planted
from judge.chat_servers import judgements
from judge.judging import broken, doubtful
from tcrp.engine.server import ServerEngine
from tcrp.judge.verdicts import Judgement

VISIBLE: dict[Callable[..., Any], set[str]] = {
    planted.RelaysBeforeTheTokenIsChecked: {"R-TOK-3"},
    planted.NamesAnother: {"R-REL-3"},
    planted.AcceptsEndedTokens: {"R-TOK-4"},
    planted.SpeaksLikeItself: {"R-REL-3"},
    planted.RelaysTwice: {"R-REL-1"},
    planted.RelaysLater: {"R-REL-1"},  # seen from outside, the first text comes twice
    planted.RelaysToNonMembers: {"R-REL-1"},
    planted.EchoesTheSender: {"R-REL-1"},
    planted.ForgetsAMember: {"R-REL-1"},
    planted.GrantsATokenAgain: {"R-TOK-1"},
    planted.MovesAMachineForAnyone: {"R-UDP-3"},
    planted.AnswersKeepAlivesUnasked: {"R-IDLE-1", "R-UDP-3"},  # whoever sends them, without a token too
    planted.AnswersUnknownTokens: {"R-UDP-3", "R-IDLE-1"},  # it answers keep-alives with a question, too
    planted.OmitsIdleNotices: {"R-END-1"},
    planted.SendsNoticesOnce: {"R-END-1"},
    planted.Amplifies: {"R-END-1"},
    planted.TokensOutliveTheirRoom: {"R-END-1"},  # the member whose token lives on is not told
    planted.room_outlives_its_host: {"R-ROOM-2"},
    planted.ClosesStreamsEarly: {"R-TCP-3"},
    planted.NeverHalfCloses: {"R-TCP-3"},
    planted.PadsRelays: {"R-UDP-2"},
    planted.RemembersTooLong: {"R-ROOM-3"},
    planted.never_idles: {"R-IDLE-1", "R-TOK-5"},  # it has neither timeout
    planted.never_times_out_handshakes: {"R-TCP-5"},
    planted.NeverResetsTheIdleClock: {"R-IDLE-1"},
    planted.NeverDrains: {"R-ROOM-3", "R-END-1"},  # it has lost the timers of both
}
"""The rules at which each bug is seen from outside."""
NOT_FROM_OUTSIDE = {
    planted.row_leads_elsewhere: "a state that no byte shows",
    planted.frees_names_early: "the server's linger is its own affair",
    planted.lets_anyone_take_over: "a setting that a server may have",
    planted.takes_too_many: "the server's limits are its own affair",
    planted.SendsTextsOnTcp: "our driver cannot write behind the end of a stream; TalksOnTcp shows the rule",
}


def judgement_of(bug: Callable[..., Any]) -> Judgement:
    return judgements(tuple(VISIBLE)).by_bug[bug]


def test_every_planted_bug_is_judged_or_cannot_be_seen_from_outside() -> None:
    assert VISIBLE.keys() | NOT_FROM_OUTSIDE.keys() == {bug for _, bug in planted.PLANTED}


def test_our_server_conforms() -> None:
    judgement = judgement_of(ServerEngine)
    assert broken(judgement) == {}
    assert doubtful(judgement) == {}


@pytest.mark.parametrize("bug", VISIBLE, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_reported_at_its_rule_and_at_no_other(bug: Callable[..., Any]) -> None:
    found = broken(judgement_of(bug))
    assert set(found) == VISIBLE[bug], (found, doubtful(judgement_of(bug)))


def test_what_a_link_loses_is_not_held_against_the_server() -> None:
    found = judgements(tuple(VISIBLE))
    assert found.lost, "the link lost nothing, so nothing was tested"
    assert broken(found.through_a_bad_link) == {}
    assert re.search(r"lost [1-9]\d* of \d+", doubtful(found.through_a_bad_link)["R-REL-1"])

"""Every bug that the tests plant in the server is found by exploring, or a sentence says why the bounds hide it."""

from __future__ import annotations

from typing import Any

import pytest

import planted_bugs as planted
from tcrp.explore.model import Bounds
from tcrp.interleavings.exploration import explore
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.writer import write_scenario

FOUND: dict[str, str] = {
    "AnswersUnknownTokens": "{users: 1, texts: 0, attacker: true}",
    "ClosesStreamsEarly": "{users: 1, texts: 0}",
    "EchoesTheSender": "{users: 2, texts: 1}",
    "NamesAnother": "{users: 2, texts: 1}",
    "OmitsIdleNotices": "{users: 1, texts: 0}",
    "PadsRelays": "{users: 2, texts: 1}",
    "RelaysToNonMembers": "{users: 2, texts: 1}",
    "RemembersTooLong": "{users: 1, texts: 0}",
    "SendsTextsOnTcp": "{users: 3, texts: 1}",
    "SpeaksLikeItself": "{users: 2, texts: 1}",
    "frees_names_early": "{users: 1, texts: 0}",
    "never_idles": "{users: 1, texts: 0}",
    "never_times_out_handshakes": "{users: 1, texts: 0}",
}
"""Within which bounds a bug is found. Those in test_counterexample.py stand in ELSEWHERE."""
ELSEWHERE = {
    "Amplifies", "ForgetsAMember", "NeverDrains", "NeverHalfCloses", "NeverResetsTheIdleClock",
    "RelaysBeforeTheTokenIsChecked", "SendsNoticesOnce", "room_outlives_its_host", "row_leads_elsewhere",
}  # fmt: skip
FOUND_SLOWLY = {"RelaysTwice": "three users and a text: 28 steps, 9,236 states"}
HIDDEN = {
    "AcceptsEndedTokens": "it needs the text `still me`, which nobody says by default, from a token that has ended",
    "AnswersKeepAlivesUnasked": "by default nobody sends a keep-alive",
    "GrantsATokenAgain": "what it has granted is no part of its frozen state, and tokens are named after connections",
    "MovesAMachineForAnyone": "it needs a datagram made by hand; the attacker sends a text and a leave word only",
    "RelaysLater": "the relay that it keeps back is no part of its frozen state",
    "TokensOutliveTheirRoom": "the state that it compares with is no part of its frozen state",
    "lets_anyone_take_over": "by default nobody shares a name, and how long a silence was is not explored",
    "takes_too_many": "by default there is one room, and rooms_max is larger",
}
"""Bugs that the default program and the abstraction hide, each with the reason."""


def test_every_planted_bug_is_found_or_hidden_for_a_reason() -> None:
    names = {bug.__name__ for _, bug in planted.PLANTED}
    assert names == set(FOUND) | ELSEWHERE | set(FOUND_SLOWLY) | set(HIDDEN)


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found_and_replayed(name: str) -> None:
    bug: Any = getattr(planted, name)
    found = explore(read_scenario_text(f"claim: a\nexplore: {FOUND[name]}\n"), Bounds(), make_engine=bug)
    assert found.broken is not None
    assert found.scenario is not None, found.why
    written = read_scenario_text(write_scenario(found.scenario))
    assert Run(written, make_engine=bug).go().violation is not None
    assert Run(written).go().violation is None  # it is the bug, and not the scenario

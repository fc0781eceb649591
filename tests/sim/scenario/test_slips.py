"""Slips of those who write scenarios: each is an error whose sentence says what to write instead."""

from __future__ import annotations

import ast
from itertools import combinations
from pathlib import Path

import pytest
from msgspec.structs import replace

from tcrp.sim.network.links import DropReason
from tcrp.sim.scenario.errors import ScenarioError, is_slip
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.swarm.generator import NAMES

ROOT = Path(__file__).parents[3]
BOB = "claim: a\nscript:\n  - {at: 0s, bob: {create: lobby}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim： a\nscript: []", "x:2:7: this is not valid YAML: line 1 has a full-width colon (：)"),
        (
            "claim: a\nscript：\n  - {at: 0s, bob: leave}",
            "line 2 has a full-width colon (：); YAML needs ':' and a blank",
        ),
        (BOB + "  - {at: 1s, bob：: leave}", "x:4:14: 'bob：' has a full-width colon (：)"),
        ("claim: a\nscript:\n\t- {at: 0s}", "x:3:1: this is not valid YAML: here is a tab; YAML indents with blanks"),
        (BOB + "until: 1min", "not '1min'; did you mean 1m?"),
        (BOB + "until: 5 s", "not '5 s'; did you mean 5s?"),
        (BOB + "until: ５秒", "not '５秒'"),
        (BOB + "until: ５s", "not '５s'; did you mean 5s?"),
        (BOB + "until: 10seconds", "did you mean 10s?"),
        (BOB + "expect: [*alias]", "x:4:10: this is not valid YAML: aliases (*name) are not used in scenarios; write"),
        ("claim: &a b\nscript: *a", "x:1:8: aliases (*name) are not used in scenarios; write the value out"),
        (
            "claim: a\nserver: {}\n# \x07",
            "x:3:3: here is a control character (U+0007); in a text in double quotes it is wr",
        ),
        (BOB.replace("bob", "no"), 'x:3:14: user: YAML reads no as a truth value; as a user it is written "no"'),
        ("claim: a\nusers: {1: {}}", 'x:2:9: user: YAML reads 1 as a number; as a user it is written "1"'),
        ("claim: a\nusers: {null: {}}", 'YAML reads null as nothing; as a user it is written "null"'),
        (BOB + "  - {at:1s, bob: leave}", "x:4:6: a blank is missing behind the colon: at: 1s"),
        (BOB + "  - {at: 1s, bob:leave}", "x:4:14: a blank is missing behind the colon: bob: leave"),
        (BOB + '  - {at: 1s, bob: {say:"x"}}', 'x:4:20: a blank is missing behind the colon: say: "x"'),
        (BOB + "  - at:1s", "x:4:5: a blank is missing behind the colon: at: 1s"),
        (
            "claim:a\nscript: []",
            "x:2:7: this is not valid YAML: in line 1 a blank is missing behind the colon: claim: a",
        ),
        ("claim:a", "x:1:1: a blank is missing behind the colon: claim: a"),
        ("claim: a: b", "here is no key; write a text that holds ': ' in quotes"),
        ("claim: @a", "a text that begins with @ is written in quotes"),
        ("claim: 'a", "the file ends inside a text in quotes"),
    ],
)
def test_a_slip_in_the_file_gets_a_sentence_that_helps(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario_text(text, "x")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_quoted_words_are_users_and_are_written_back_in_quotes() -> None:
    text = 'claim: a\nusers: {"no": {dialect: text}, "1": {dialect: text}}\nscript: [{at: 0s, "no": {create: lobby}}]'
    scenario = read_scenario_text(text)
    assert [user.id for user in scenario.users] == ["no", "1"]
    again = read_scenario_text(write_scenario(scenario))
    assert again.users == scenario.users
    assert replace(again.script[0], place=scenario.script[0].place) == scenario.script[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOB + "  - {at: 1s, bbo: {say: hi}}", "x:4:14: 'bbo' never creates or joins a room; did you mean 'bob'?"),
        (BOB + "  - {at: 1s, Bob: leave}", "did you mean 'bob'?"),
        (BOB.replace("bob", "bbo") + "  - {at: 1s, bob: leave}", "'bob' never creates or joins a room"),
        ("users: {bob: {dialect: text}}\n" + BOB.replace("bob", "bbo"), "'bbo' is not declared, but 'bob' is and does"),
        ("users: {crowd: {count: 3}}\n" + BOB + "  - {at: 1s, crwd: leave}", "did you mean 'crowd'?"),
        (BOB + "expect: [{bbo: {state: in-room}}]", "did you mean 'bob'?"),
    ],
)
def test_a_misspelt_actor_is_an_error_with_the_nearest_name(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario_text(text, "x")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "users: {bbo: {}}\n" + BOB + "  - {at: 1s, bbo: {say: hi}}",
        BOB + "  - {at: 1s, rob: {join: lobby}}",
        BOB + "  - {at: 1s, alice: {say: hi}}",
        BOB.replace("bob", "u1") + "  - {at: 1s, u2: {say: hi}}",
        BOB.replace("bob", "a") + "  - {at: 1s, b: {say: hi}}",
    ],
)
def test_users_whose_names_are_alike_on_purpose_are_no_slip(text: str) -> None:
    read_scenario_text(text)


def test_what_a_swarm_writes_can_be_read() -> None:
    assert [pair for pair in combinations(NAMES, 2) if is_slip(*pair)] == []


@pytest.mark.parametrize(("why", "said"), [("lost", "did you mean 'loss'?"), ("no such tokn", "'no such token'?")])
def test_a_drop_for_an_unknown_reason_is_an_error(why: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=r"why: '.*' is none of ") as caught:
        read_scenario_text(f"{BOB}expect: [{{drop: {{why: {why}}}}}]")
    assert said in str(caught.value)


def test_every_reason_in_the_code_is_known() -> None:
    """The reasons are the words that are handed to whatever drops or withholds a packet."""
    reasons: set[str] = {each.value for each in DropReason}
    names = ("drop", "_withhold", "_count_rejected")
    for folder in ("engine/tcrp/engine", "sim/tcrp/sim/network", "sim/tcrp/sim/hosts", "sim/tcrp/sim/cluster"):
        for path in (ROOT / folder).glob("*.py"):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in names:
                    reasons |= {word.value for word in call.args if isinstance(word, ast.Constant)
                                and isinstance(word.value, str)}  # fmt: skip
    assert len(reasons) > 12
    assert reasons | {"the token has ended"} == set(DROP_REASONS)

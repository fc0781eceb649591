"""Scripts for clients that ask: what is typed at which question, and mistakes named with their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcrp.judge.client_script import (
    PLACEHOLDERS,
    SHIPPED,
    STEP_US,
    WITHIN_US_MAX,
    Do,
    ScenarioError,
    Script,
    Step,
    fill,
    read_script,
    script_named,
)
from tcrp.spec.limits import SECOND_US

VALUES = {"operation": "join", "number": "2", "letter": "j", "name": "bob", "room": "lobby", "host": "h",
          "tcp_port": "1", "udp_port": "2"}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "typed"),
    [
        ("Enter your username: ", "bob"),
        ("Room name: ", "lobby"),
        ("1: Create room\n2: Join room\n> ", "2"),
        ("1) join a room\n2) create a room\nchoice: ", "1"),
        ("create(1) or join(2)? ", "2"),
        ("Create or join? ", "join"),
        ("[c]reate / [j]oin: ", "j"),
        ("server address [localhost]: ", "h"),
        ("UDP port: ", "2"),
        ("port: ", "1"),
        ("ユーザー名を入力してください: ", "bob"),
        ("ルーム名を入力してください: ", "lobby"),
        ("1: ルームを作成 2: ルームに参加\n> ", "2"),
        ("Favourite colour? ", None),
    ],
)
def test_the_default_script_answers_what_clients_ask(asked: str, typed: str | None) -> None:
    assert script_named("default").answer_to(asked, VALUES) == typed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("answers:\n  '(': x\n", "2:3: '(' is no regular expression"),
        ("say:\n  - type: '{tezt}'\n", "unknown placeholder {tezt}"),
        ("enter:\n  - {wait: a, type: b}\n", "a step has one of wait, type, key, had, expect"),
        ("enter:\n  - {wait: a, within: 3}\n", "a unit is missing: 3s"),
        ("enter:\n  - {key: f13}\n", "'f13' is none of enter, ctrl-c"),
        ("leafe: []\n", "unknown key 'leafe'"),
    ],
)
def test_a_mistake_in_a_script_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=r"mine\.yaml") as error:
        read_script(text, "mine.yaml")
    assert said in str(error.value)


def test_the_scripts_of_the_document_are_read() -> None:
    text = (Path(__file__).parents[2] / "docs" / "conform.md").read_text(encoding="utf-8")
    scripts = [
        read_script(found[2], found[1]) for found in re.finditer(r"```yaml (my-\w+\.yaml)\n(.*?)```", text, re.S)
    ]
    assert len(scripts) == 2
    assert scripts[0].answer_to("1: create\n2: join\n> ", VALUES) == "2"


@pytest.mark.parametrize("name", SHIPPED)
def test_each_script_that_comes_with_the_judge_is_read(name: str) -> None:
    script = script_named(name)
    assert script.say
    assert script.leave


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml"):
        script_named("none.yaml")


def test_an_empty_script_is_the_default_of_each_part() -> None:
    assert read_script("{}", "mine.yaml")._replace(text="") == Script()


def test_a_step_waits_as_long_as_it_says_and_at_most_two_minutes() -> None:
    read = read_script("enter:\n  - {wait: a}\n  - {wait: b, within: 120s}\n", "mine.yaml")
    assert [each.within_us for each in read.enter] == [STEP_US, WITHIN_US_MAX]
    assert read.enter[1] == Step(Do.WAIT, "b", 120 * SECOND_US, "line 3")
    with pytest.raises(ScenarioError, match="within is 121s; at most 120s is allowed"):
        read_script("enter:\n  - {wait: a, within: 121s}\n", "mine.yaml")


def test_the_last_line_is_answered_before_what_stands_above_it() -> None:
    answers = ((re.compile("name"), "a name"), (re.compile("room"), "a room"))
    script = Script(answers)
    assert script.answer_to("room?\nname? ", VALUES) == "a name"
    assert script.answer_to("name?\nroom? \n\n", VALUES) == "a room"
    assert script.answer_to("room?\n> ", VALUES) == "a room"
    assert script.answer_to("", VALUES) is None


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    assert fill("{name} {colour} {{room}} {}", VALUES) == "bob {colour} {lobby} {}"
    for each in PLACEHOLDERS:
        read_script(f"say: [{{type: '{{{each}}}'}}]\n", "mine.yaml")

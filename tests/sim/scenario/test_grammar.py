"""The declarations of words: each is read, written, in the schema and in the document."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct
from msgspec.structs import replace
from ruamel.yaml import YAML
from tools.scenario_words import document, sections

from tcrp.sim.scenario.cast import Cast
from tcrp.sim.scenario.kinds import DEFINED, TEXT, Scene
from tcrp.sim.scenario.model import Abandon, Create, Place, Remove, Scenario
from tcrp.sim.scenario.nodes import compose
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.records import Field, Verb
from tcrp.sim.scenario.schema import schema
from tcrp.sim.scenario.verbs import USER_VERBS, filled
from tcrp.sim.scenario.writer import write_scenario

HERE = Place(0, 0)
WORDS = [(section.title, word) for section in sections() for word in section.words]
BEFORE = {
    "claim": "claim: a",
    "server": "server: {listeners: {new: auto, old: text}}",
    "users": "users: {alice: {}, bob: {}, mallory: {attacker: true}}",
    "script": "script: [{at: 0s, alice: {create: lobby}}, {at: 1s, bob: {join: lobby}}]",
}


NAMES_A_SERVER = re.compile(r"\b(a|bucket): |server: b\b")
CLUSTER = {"servers": "servers: {a: {}, b: {}}"}


def file_with(example: str) -> str:
    """A file in which alice, bob and mallory act, with `example` in it; with servers, if it names one."""
    key = example.partition(":")[0]
    if key == "script":
        example = BEFORE["script"].removesuffix("]") + ", " + example.removeprefix("script: [")
    servers = CLUSTER if NAMES_A_SERVER.search(example) and key != "servers" else {}
    return "\n".join({**BEFORE, **servers, key: example}.values())


def meaning(scenario: Scenario) -> Scenario:
    """What a scenario says, wherever it stands; a crowd's members are users like others."""
    return replace(
        scenario,
        users=tuple(replace(user, crowd=None, number=0) for user in scenario.users),
        network=replace(scenario.network, links=tuple(replace(rule, place=HERE) for rule in scenario.network.links)),
        script=tuple(replace(step, place=HERE) for step in scenario.script),
        expect=tuple(replace(each, place=HERE, text="") for each in scenario.expect),
    )


def faults(text: str) -> list[str]:
    loaded: Any = YAML(typ="safe", pure=True).load(text)
    return [error.message for error in Draft202012Validator(schema()).iter_errors(loaded)]


@pytest.mark.parametrize("word", [word for _, word in WORDS], ids=[f"{title}: {word.word}" for title, word in WORDS])
def test_every_word_reads_its_example_and_writes_it_back(word: Any) -> None:
    assert word.word in word.example
    assert word.meaning.endswith(".")
    text = file_with(word.example)
    scenario = read_scenario_text(text)
    assert meaning(scenario) != meaning(read_scenario_text("\n".join(BEFORE.values()))), "the example says something"
    written = write_scenario(scenario)
    assert meaning(read_scenario_text(written)) == meaning(scenario)
    assert faults(text) == []
    assert faults(written) == []


@pytest.mark.parametrize("name", DEFINED)
def test_every_kind_of_value_reads_its_example_and_writes_it_back(name: str) -> None:
    kind, cast = DEFINED[name], Cast()
    for user in ("alice", "bob"):
        cast.appear(compose(user, "x"), user)
    cast.rooms.add("lobby")
    cast.listeners = ("new", "old")
    if name == "server_name":
        cast.servers = ("a", "b")
    value = kind.read(compose(kind.example, "x"), Scene(cast))
    check = {**kind.schema(), "$defs": schema()["$defs"]}
    written = kind.write(value)
    Draft202012Validator(check).validate(YAML(typ="safe", pure=True).load(kind.example))
    Draft202012Validator(check).validate(written)
    assert kind.meaning.endswith(".")
    assert kind.holds(value)


class Wave(Struct, frozen=True):
    text: str


def test_a_new_verb_with_one_argument_is_one_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    verb = Verb("wave", Wave, "Waves.", 'bob: {wave: "hello"}', Field("text", TEXT, is_bare=True))
    monkeypatch.setitem(USER_VERBS, "wave", verb)
    text = file_with('script: [{at: 2s, bob: {wave: "hello {n}"}}]')
    scenario = read_scenario_text(text)
    step = scenario.script[-1]
    assert (step.id, step.action) == ("bob.wave@2s~6956", Wave("hello {n}"))
    assert filled(step.action, 3) == Wave("hello 3")
    written = write_scenario(scenario)
    assert read_scenario_text(written).script[-1].action == Wave("hello {n}")
    assert faults(text) == []
    assert faults(written) == []
    assert faults(text.replace("wave", "wvae")) != []
    assert "`wave`" in document()


def test_placeholders_are_filled_wherever_a_text_or_a_room_stands() -> None:
    assert filled(Abandon("idle", Create("room {n}", "{n}")), 2) == Abandon("idle", Create("room 2", "{n}"))
    assert filled(Remove("{n}", "room {n}"), 2) == Remove("{n}", "room 2")

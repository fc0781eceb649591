"""The JSON Schema for editors: valid, fresh, and of one mind with the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.sim.scenario.schema import schema

SCENARIOS = Path(__file__).parents[3] / "sim" / "scenarios"


def loaded(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def faults(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(schema()).iter_errors(loaded(text))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", sorted(SCENARIOS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_reader_takes_the_schema_takes(path: Path) -> None:
    read_scenario(path)
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "seed: 1",
        "claim: a\nscirpt: []",
        "claim: a\nuntil: 5",
        "claim: a\nserver: {rooms_max: 0}",
        "claim: a\nusers: {server: {}}",
        "claim: a\nnetwork: {default: {mtu: 0}}",
        "claim: a\nscript: [{at: 0s, alice: {sya: hi}}]",
        "claim: a\nscript: [{at: 0s, alice: {say: 5}}]",
        "claim: a\nscript: [{at: 0s, network: {hodl: [alice, server]}}]",
        "claim: a\nscript: [{at: 0s, alice: {stream: {hex: \"0g\"}}}]",
        "claim: a\nexpect: [{bob: {state: gone}}]",
        "claim: a\nexpect: [{server: {room: 0}}]",
    ],
)  # fmt: skip
def test_what_the_schema_refuses_the_reader_refuses(wrong: str) -> None:
    assert faults(wrong)
    with pytest.raises(Exception, match=r"^scenario:"):
        read_scenario_text(wrong)


def undescribed(schema: Any, path: str = "") -> list[str]:
    """The keys of the format that the schema does not explain."""
    if isinstance(schema, list):
        return [each for number, item in enumerate(schema) for each in undescribed(item, f"{path}[{number}]")]
    if not isinstance(schema, dict):
        return []
    words = schema.get("properties", {})
    own = [f"{path}/{word}" for word, each in words.items() if "description" not in each and "$ref" not in each]
    return own + [each for key, value in schema.items() for each in undescribed(value, f"{path}/{key}")]


def test_an_editor_can_explain_every_key() -> None:
    # `server` and `network` are the actors of a step: what they do is explained one by one.
    assert [path for path in undescribed(schema()) if not path.endswith(("script/items/server", "script/items/network"))
            ] == []  # fmt: skip
    assert all(each["description"] for each in schema()["$defs"].values())

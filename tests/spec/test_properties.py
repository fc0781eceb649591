"""Properties: each is a sentence with the rules that it follows from, and is judged by some check."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

import tcrp.sim.checks.monitor as monitor
import tcrp.sim.cluster.checks as cluster_checks
from tcrp.sim.coverage import SHOWN_BY_PROPERTY, SHOWN_OTHERWISE
from tcrp.sim.swarm.sometimes import SOMETIMES, Sometimes
from tcrp.spec.names import Property, Rule
from tcrp.spec.properties import CLAIMS, Claim

CHECKS = [
    path
    for folder in (Path(monitor.__file__).parent, Path(cluster_checks.__file__).parent)
    for path in folder.glob("*.py")
]
WITHOUT_RULES = {
    Property.TABLE_STEPS,
    Property.SHADOW_AGREES,
    Property.STREAMS_KEEP_ORDER,
    Property.MATCHES_REFERENCE,
    Sometimes.CRASHED,
    Sometimes.QUEUE_OVERFLOWED,
}
"""They are about the machines or all rules, or about what is done to a server or by a network."""


@pytest.mark.parametrize(("names", "claims"), [(Property, CLAIMS), (Sometimes, SOMETIMES)])
def test_every_name_has_one_claim_in_its_order(names: type[StrEnum], claims: Mapping[StrEnum, Claim]) -> None:
    assert list(claims) == list(names)
    assert len({claim.sentence for claim in claims.values()}) == len(claims)


@pytest.mark.parametrize("name", [*Property, *Sometimes])
def test_a_claim_is_a_sentence_that_follows_from_rules(name: Property | Sometimes) -> None:
    claim = CLAIMS[name] if isinstance(name, Property) else SOMETIMES[name]
    assert claim.sentence[0].isupper()
    assert claim.sentence.endswith(".")
    assert bool(claim.rules) is (name not in WITHOUT_RULES)
    assert len(set(claim.rules)) == len(claim.rules)


@pytest.mark.parametrize("property", Property)
def test_every_property_is_judged_by_a_check(property: Property) -> None:
    assert any(f"Property.{property.name}" in path.read_text(encoding="utf-8") for path in CHECKS)


def test_a_rule_that_is_shown_by_a_property_is_one_of_its_rules() -> None:
    for rule, property in SHOWN_BY_PROPERTY.items():
        assert rule in CLAIMS[property].rules
    for rule, by in SHOWN_OTHERWISE.items():
        for property in (each for each in Property if each in by):
            assert rule in CLAIMS[property].rules


def test_the_rules_of_safety_in_the_chat_are_claimed_by_properties() -> None:
    claimed = {rule for claim in CLAIMS.values() for rule in claim.rules}
    assert {Rule.REL_1, Rule.REL_2, Rule.REL_3, Rule.TOK_1, Rule.TOK_2, Rule.TOK_3, Rule.TOK_4} <= claimed
    assert {Rule.ROOM_2, Rule.ROOM_3, Rule.END_1, Rule.IDLE_1, Rule.LIM_1, Rule.UDP_1, Rule.UDP_2} <= claimed

"""Every rule, property and deadline has its entry in the tables that explain it."""

from __future__ import annotations

from tcrp.spec.names import DEADLINE_RULES, Deadline, Property, Rule
from tcrp.spec.properties import CLAIMS
from tcrp.spec.rules import SENTENCES


def test_every_rule_has_a_sentence_every_property_a_claim_every_deadline_a_rule() -> None:
    assert set(SENTENCES) == set(Rule)
    assert set(CLAIMS) == set(Property)
    assert set(DEADLINE_RULES) == set(Deadline)

"""Rules: each has its sentence, and what no scenario can show says what shows it instead."""

from __future__ import annotations

import re
from typing import cast

import pytest

from tcrp.sim.coverage import SHOWN_OTHERWISE
from tcrp.spec.cluster_names import OWN_SENTENCES
from tcrp.spec.names import Property, Rule
from tcrp.spec.rules import SENTENCES, sentence_of


def test_every_rule_has_one_sentence_in_the_order_of_the_names() -> None:
    assert list(SENTENCES) == list(Rule)
    assert len(set(SENTENCES.values())) == len(Rule)


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_has_an_id_and_a_whole_sentence(rule: Rule) -> None:
    assert re.fullmatch(r"R-[A-Z]+-\d", rule)
    assert rule.name == rule.removeprefix("R-").replace("-", "_")
    assert SENTENCES[rule][0].isupper()
    assert SENTENCES[rule].endswith(".")
    assert "  " not in SENTENCES[rule]


def test_the_limits_that_rules_name_are_the_ones_in_force() -> None:
    from tcrp.spec import limits

    assert str(limits.CLIENT_DATAGRAM_BYTES_MAX) in SENTENCES[Rule.UDP_1]
    assert str(limits.SERVER_DATAGRAM_BYTES_MAX) in SENTENCES[Rule.UDP_2]
    assert str(limits.NAME_BYTES_MAX) in SENTENCES[Rule.NAME_1]
    assert str(limits.TOKEN_BYTES) in SENTENCES[Rule.TOK_1]
    assert str(limits.PORT_MIN) in SENTENCES[Rule.ADDR_1]
    for rule, times in ((Rule.UDP_4, limits.ENTER_AGAIN_AFTER_US), (Rule.END_1, limits.NOTICE_AGAIN_AFTER_US)):
        assert all(f"{us / limits.SECOND_US:g}" in SENTENCES[rule] for us in times[1:])


def test_rules_shown_otherwise_name_a_property_that_exists_or_a_test() -> None:
    assert set(SHOWN_OTHERWISE) == {Rule.TCP_1, Rule.TOK_1, Rule.PASS_1}
    for by in SHOWN_OTHERWISE.values():
        assert "test" in by or any(property in by for property in Property)


def test_rules_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        cast(dict[Rule, str], SENTENCES)[Rule.TCP_1] = "Anything goes."


def test_the_sentence_of_a_rule_is_found_whether_it_is_of_the_protocol_or_of_a_cluster() -> None:
    assert {rule: sentence_of(rule) for rule in SENTENCES} == SENTENCES
    assert {rule: sentence_of(rule) for rule in OWN_SENTENCES} == OWN_SENTENCES

"""Coverage: each row, refusal and rule that a run's records show is counted once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import made_records as made
from tcrp.sim.coverage import REFUSED, ROWS, Coverage
from tcrp.sim.run import Verdict
from tcrp.spec.names import Deadline, Machine, Property, Rule
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import Kind, PacketRecord, RefusalRecord

ENTERED = (Machine.SESSION, "tokened", "entered")
STEP = made.step(event="entered", from_="tokened", id="b", rule=Rule.UDP_4, to="in-room")


def refusal(from_: str, event: str, rule: Rule | None) -> RefusalRecord:
    return made.refusal(event=event, from_=from_, id="b", rule=rule)


def packet(rule: Rule | None) -> PacketRecord:
    return made.packet(kind=Kind.DROP, link="a>b", rule=rule, what="say")


def test_rows_and_refused_pairs_are_those_of_the_three_tables() -> None:
    tables = (SESSION, ROOM, HANDSHAKE)
    assert len(ROWS) == sum(len(table.rows) for table in tables)
    assert set(ROWS).isdisjoint(REFUSED)
    assert len(set(ROWS) | set(REFUSED)) == sum(len(list(each.states)) * len(list(each.events)) for each in tables)


def test_a_step_counts_for_its_row_and_its_rule() -> None:
    coverage = Coverage()
    coverage.hear(STEP)
    coverage.hear(STEP)
    assert coverage.rows[ENTERED] == coverage.rules[Rule.UDP_4] == 2
    assert sum(coverage.rows.values()) == sum(coverage.rules.values()) == 2
    assert ENTERED not in coverage.missing_rows()
    assert len(coverage.missing_rows()) == len(ROWS) - 1
    assert Rule.UDP_4 not in coverage.missing_rules()


def test_a_refusal_counts_for_its_pair_where_the_table_has_none_and_for_its_rule_where_it_has_one() -> None:
    coverage = Coverage()
    coverage.hear(refusal("expired", "spoke", Rule.TOK_4))
    coverage.hear(refusal("expired", "spoke", None))
    coverage.hear(refusal("tokened", "entered", None))  # a row: refused for another reason
    coverage.hear(refusal("in-room", "rubbish", None))
    assert coverage.refused[Machine.SESSION, "expired", "spoke"] == 2
    assert sum(coverage.refused.values()) == 2
    assert sum(coverage.rules.values()) == coverage.rules[Rule.TOK_4] == 1
    assert sum(coverage.rows.values()) == 0


def test_packets_shows_and_timers_count_for_their_rule_and_faults_for_nothing() -> None:
    coverage = Coverage()
    coverage.hear(packet(Rule.UDP_3))
    coverage.hear(packet(None))
    coverage.hear(made.show(actor="bob", rule=Rule.SHOW_1, what="relay"))
    coverage.hear(made.timer(rule=Rule.IDLE_1, what=Deadline.IDLE))
    coverage.hear(made.fault(actor="network", what="cut"))
    counted = {rule: times for rule, times in coverage.rules.items() if times}
    assert counted == {Rule.UDP_3: 1, Rule.SHOW_1: 1, Rule.IDLE_1: 1}


def test_rules_that_no_record_shows_are_counted_by_the_property_that_judged_them() -> None:
    judged = dict.fromkeys(Property, 0) | {Property.NO_TALK_ON_TCP: 3, Property.RELAYS_IN_ORDER: 4}
    judged[Property.STREAMS_HALF_CLOSE] = 5
    coverage = Coverage()
    coverage.add_judged(cast(Verdict, SimpleNamespace(judged=judged)))
    coverage.add_judged(cast(Verdict, SimpleNamespace(judged=judged)))
    counted = {rule: times for rule, times in coverage.rules.items() if times}
    assert counted == {Rule.TCP_1: 6, Rule.TCP_3: 10, Rule.REL_2: 8}


def test_two_coverages_add_up_row_by_row() -> None:
    one, other = Coverage(), Coverage()
    one.hear(STEP)
    for record in (STEP, refusal("expired", "spoke", Rule.TOK_4)):
        other.hear(record)
    one.add(other)
    assert (one.rows[ENTERED], one.rules[Rule.UDP_4], one.rules[Rule.TOK_4]) == (2, 2, 1)
    assert one.refused[Machine.SESSION, "expired", "spoke"] == 1
    assert other.rows[ENTERED] == 1


def test_a_rule_that_is_shown_otherwise_is_not_missing() -> None:
    coverage = Coverage()
    assert coverage.missing_rules() == list(Rule)
    assert coverage.missing_rules([Rule.TOK_1, Rule.PASS_1]) == [
        rule for rule in Rule if rule not in (Rule.TOK_1, Rule.PASS_1)
    ]

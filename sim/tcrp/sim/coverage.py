"""Which rows of the tables, which refusals and which rules a run, or many, have exercised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never

from tcrp.sim.run import Verdict
from tcrp.spec.cluster_names import AnyRule, OwnRule
from tcrp.spec.names import Machine, Property, Rule
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import FaultRecord, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord, TimerRecord

Pair = tuple[Machine, str, str]  # machine, state, event

ROWS: tuple[Pair, ...] = tuple(
    (table.machine, str(state), str(event)) for table in (SESSION, ROOM, HANDSHAKE) for state, event in table.rows
)
REFUSED: tuple[Pair, ...] = tuple(
    (table.machine, str(state), str(event)) for table in (SESSION, ROOM, HANDSHAKE) for state, event in table.refused()
)
SHOWN_BY_PROPERTY: Mapping[AnyRule, Property] = {
    Rule.TCP_1: Property.NO_TALK_ON_TCP,
    Rule.TCP_3: Property.STREAMS_HALF_CLOSE,
    Rule.REL_2: Property.RELAYS_IN_ORDER,
    OwnRule.OWN_4: Property.NO_STALE_OUTPUT,
}
"""Rules that no single record shows: each counts as exercised when its property was checked."""

SHOWN_OTHERWISE: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.TCP_1: "the property no-talk-on-tcp, in every run",
        Rule.TOK_1: "unit tests of the token source, and the property tokens-unique",
        Rule.PASS_1: "a unit test of the comparison; scenarios show its refusals",
    }
)
"""Rules that no scenario can show in full, and what shows them instead."""


@dataclass(slots=True)
class Coverage:
    """Counts by row, by refused pair and by rule. A listener of traces."""

    rows: dict[Pair, int] = field(default_factory=lambda: dict.fromkeys(ROWS, 0))
    refused: dict[Pair, int] = field(default_factory=lambda: dict.fromkeys(REFUSED, 0))
    rules: dict[AnyRule, int] = field(default_factory=lambda: dict.fromkeys((*Rule, *OwnRule), 0))

    def hear(self, record: Record) -> None:
        """Count what a record shows."""
        if type(record) is PacketRecord and record.rule is None:  # most records are such
            return
        match record:
            case StepRecord(machine=Machine() as machine):
                pair = (machine, str(record.from_), str(record.event))
                self.rows[pair] = self.rows.get(pair, 0) + 1
                self.rules[record.rule] += 1
            case StepRecord():  # of a cluster
                self.rules[record.rule] += 1
            case RefusalRecord():
                pair = (record.machine, str(record.from_), str(record.event))
                if pair in self.refused:
                    self.refused[pair] += 1
                if record.rule is not None:
                    self.rules[record.rule] += 1
            case PacketRecord() | ShowRecord() | TimerRecord():
                if record.rule is not None:
                    self.rules[record.rule] += 1
            case FaultRecord():
                pass
            case _:
                assert_never(record)

    def add_judged(self, verdict: Verdict) -> None:
        """Count the rules that no single record can show, by the property that judged them."""
        for rule, property in SHOWN_BY_PROPERTY.items():
            self.rules[rule] += verdict.judged[property]

    def add(self, other: Coverage) -> None:
        """Count what another has counted too."""
        for pair, times in other.rows.items():
            self.rows[pair] = self.rows.get(pair, 0) + times
        for pair, times in other.refused.items():
            self.refused[pair] += times
        for rule, times in other.rules.items():
            self.rules[rule] += times

    def missing_rows(self) -> list[Pair]:
        """Rows that nothing has exercised."""
        return [pair for pair in ROWS if not self.rows[pair]]

    def missing_rules(self, shown_otherwise: Iterable[Rule] = ()) -> list[Rule]:
        """Rules that nothing has exercised."""
        return [rule for rule in Rule if not self.rules[rule] and rule not in shown_otherwise]
